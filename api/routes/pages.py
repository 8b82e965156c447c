"""The pages shown to people who open the server's address in a browser, and the files they load."""

from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Nothing of another host, nothing inline, and not within another page."""


def stand_in() -> Route:
    """Return what is at `/` where the web client was not built: the server's state, which says so."""

    async def get(_request: Request) -> HTMLResponse:
        return _page("status.html")

    return Route("/", get, methods=["GET"], include_in_schema=False)


def static_files() -> dict[str, StaticFiles]:
    """Return by their addresses the files that pages load: Swagger UI's, and our own."""
    return {
        "/static/swagger": StaticFiles(packages=[("fastapi_offline", "static")]),
        "/static": StaticFiles(packages=[("api", "web/static")]),
    }


@router.get("/status", response_class=HTMLResponse)
async def status() -> HTMLResponse:
    """What this server is, whether it is well, and where to go next."""
    return _page("status.html")


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    """The API, to read and to try."""
    return _page("docs.html")


@cache
def _page(name: str) -> HTMLResponse:
    return HTMLResponse(files("api").joinpath("web", name).read_text(encoding="utf-8"), headers=_HEADERS)
