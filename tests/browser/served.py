"""Builds of the client, changed as a release or an attacker would, on a server of their own."""

import asyncio
import base64
import hashlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from api.http import built_files
from api.routes import web_client

_DESCRIPTION = re.compile(r'(<meta name="description" content=")[^"]*(")')
BUILD = Path(web_client.__file__).parents[1] / "web" / "build"


def release(folder: Path, name: str) -> Path:
    """Write another build: the one that is built here, with another name as its page's description."""
    _, before = _read(shutil.copytree(BUILD, folder))
    page = (folder / "index.html").read_text()
    (folder / "index.html").write_text(_DESCRIPTION.sub(rf"\g<1>{name}\g<2>", page, count=1))
    after = (
        "sha256-" + base64.b64encode(hashlib.sha256((folder / "index.html").read_bytes()).digest()).decode()
    )
    worker = (folder / "sw.js").read_text()
    assert before in worker
    assert _read(folder)[0] in worker
    (folder / "sw.js").write_text(worker.replace(before, after).replace(_read(folder)[0], name))
    for packed in (*folder.rglob("*.br"), *folder.rglob("*.gz")):
        packed.unlink()
    return folder


def _read(folder: Path) -> tuple[str, str]:
    listed = json.loads((folder / "integrity.json").read_text())
    return listed["build"], listed["files"]["index.html"]["sha256"]


class Server:
    """Serves the build that it was last given.

    Attributes:
        url: Where.
        asked: The paths that pages asked for, in order; not what the service worker fetched to keep.
    """

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self.asked: list[str] = []
        self._app = self._of(folder)

    def serve(self, folder: Path) -> None:
        """Serve this build from now on."""
        self._app = self._of(folder)

    async def __call__(self, scope: dict[str, object], receive: object, send: object) -> None:
        """Answer, as an ASGI application."""
        if (b"sec-fetch-dest", b"empty") not in scope["headers"]:  # type: ignore[operator]
            self.asked.append(str(scope["path"]).removeprefix("/") or "index.html")
        await self._app(scope, receive, send)  # type: ignore[arg-type]

    def _of(self, folder: Path) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        app.router.routes.extend(web_client.routes(built_files.read(folder)))
        return app


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """Serve a build on a port of its own."""
    server = Server(folder)
    listening = uvicorn.Server(uvicorn.Config(server, "127.0.0.1", 0, lifespan="off", log_level="warning"))
    task = asyncio.create_task(listening.serve())
    while not listening.started:
        await asyncio.sleep(0.01)
    server.url = f"http://127.0.0.1:{listening.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.should_exit = True
        await task
