"""Whether a server serves the web client of this installation, byte by byte.

What comes back is not believed: it is bounded in size and time, and a redirect is a difference, not a way.
"""

import asyncio
import zlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from cluster.doctor.finding import Finding, failed, ok
from roost.tls import client_context

_LIST: Final = "integrity.json"
_ENDINGS: Final = {"identity": "", "gzip": ".gz", "br": ".br"}
"""Content codings that browsers ask for, and how the installed files of each end."""

_ANSWER_S: Final = 10.0
_AT_ONCE: Final = 4
_UNZIP: Final = zlib.MAX_WBITS | 16
_FIX: Final = (
    "Sign in nowhere on that server until you know why. If it runs another release of Roost, ask from one of "
    "those; `make web`, or an installation with its web client, is what it is compared with."
)


class _Different(Exception):  # noqa: N818 -- it is a finding
    """What is served is not what is installed; the sentence says how."""


def installed() -> Traversable:
    """Return the folder of the installed build, of a package above this one: only its files are read."""
    return files("api").joinpath("web", "build")


async def compare(url: str, ca: Path | None, build: Traversable) -> list[Finding]:
    """Compare what a server serves with an installed build, in every coding that browsers ask for.

    Args:
        url: The server's base URL.
        ca: PEM file of the authorities to believe; None for those of the machine.
        build: The folder of the build.
    """
    if not build.joinpath(_LIST).is_file():
        fix = "Run make web, or ask from an installation whose wheel has it."
        return [failed("web client", "this installation has no web client to compare with", fix)]
    listed = msgspec.json.decode(build.joinpath(_LIST).read_bytes())
    paths = [_LIST, *listed["files"]]
    room = asyncio.Semaphore(_AT_ONCE)
    tls = client_context(ca) if url.startswith("https:") else False
    connector = aiohttp.TCPConnector(ssl=tls, limit=_AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as http:

        async def judged(place: str, path: str) -> Finding | None:
            async with room:
                for coding in _ENDINGS:
                    try:
                        await _check(http, f"{url}/{place}", build, path, coding)
                    except _Different as exc:
                        return failed(f"/{place}", f"{exc} ({coding})", _FIX)
            return None

        places = [("", "index.html"), *((path, path) for path in paths)]
        found = await asyncio.gather(*(judged(*place) for place in places))
    all_well = ok("web client", f"{url} serves build {listed['build']}, file by file as installed here")
    return [each for each in found if each is not None] or [all_well]


async def _check(http: aiohttp.ClientSession, url: str, build: Traversable, path: str, coding: str) -> None:
    plain = build.joinpath(path).read_bytes()
    try:
        async with http.get(url, headers={"Accept-Encoding": coding}, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004 -- OK
                raise _Different(f"is answered with {answer.status}, not with a file")
            answered = answer.headers.get("Content-Encoding", "identity")
            served = await _body(answer, len(plain))
    except (TimeoutError, aiohttp.ClientError) as exc:
        raise _Different(f"cannot be fetched: {exc or type(exc).__name__}") from exc
    if not _same(served, answered, plain, build, path):
        raise _Different("is not the file that is installed here")


async def _body(answer: aiohttp.ClientResponse, size: int) -> bytes:
    """Return the body; no more of it than a form of the file that is a little larger would have."""
    most = size + 1024
    body = b""
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise _Different(f"has more than the {size} bytes of the installed file")
    return body


def _same(served: bytes, coding: str, plain: bytes, build: Traversable, path: str) -> bool:
    """Whether this is the file; a form of it that is ours need not be opened."""
    if coding == "identity":
        return served == plain
    form = build.joinpath(path + _ENDINGS.get(coding, ".unknown"))
    if form.is_file() and form.read_bytes() == served:
        return True
    return coding == "gzip" and _unzipped(served, len(plain)) == plain  # a proxy may compress for itself


def _unzipped(data: bytes, size: int) -> bytes | None:
    try:
        opened = zlib.decompressobj(_UNZIP).decompress(data, size + 1)
    except zlib.error:
        return None
    return opened
