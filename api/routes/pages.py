"""The page shown to people who open the server's address in a browser."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.http.routing import ApiRoute

router = APIRouter(route_class=ApiRoute, include_in_schema=False)


@cache
def _index() -> str:
    return files("api").joinpath("web/index.html").read_text(encoding="utf-8")


@router.get("/", response_class=HTMLResponse)
async def index() -> str:
    """What this server is, whether it is well, and where to go next."""
    return _index()
