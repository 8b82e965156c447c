"""The web client, and the operators' page: what a browser gets at the server's address."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import Request, Response
from starlette.routing import BaseRoute, Route

from api.http import built_files
from api.http.built_files import BuiltFile

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "worker-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "default",
}
"""Nothing of another host, nothing inline, not within another page, and no text that becomes code: the only
policy for that, `default`, is in the client's `src/house/trusted.ts`."""

_REFUSED: Final = ("display-capture", "geolocation", "hid", "microphone", "midi", "payment", "serial", "usb")

HEADERS: Final = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(["camera=(self)", *(f"{each}=()" for each in _REFUSED)]),
    "Referrer-Policy": "no-referrer",
}
"""With every file: workers take their policy from their own script's answer. The camera reads QR codes."""


_PAGES: Final = {"/": "index.html", "/ops": "ops.html"}


@cache
def built() -> dict[str, BuiltFile]:
    """Return the files of the client that is installed; none if it was not built."""
    return built_files.read(files("api").joinpath("web", "build"))


def routes(client: dict[str, BuiltFile]) -> Iterable[BaseRoute]:
    """Return a route for each file, `/` for the client's page and `/ops` for the operators'."""
    for path, file in client.items():
        yield _route(f"/{path}", file)
    for address, page in _PAGES.items():
        if page in client:
            yield _route(address, client[page])


def _route(path: str, file: BuiltFile) -> Route:
    async def get(request: Request) -> Response:
        return file.answer(request, HEADERS)

    return Route(path, get, methods=["GET"], include_in_schema=False)
