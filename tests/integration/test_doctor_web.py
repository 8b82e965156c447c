"""``roost doctor --web`` and servers that serve something else than what is installed."""

import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cluster.doctor.finding import Finding
from cluster.doctor.web_client import compare

FILES = {"index.html": b"<!doctype html>" * 9, "assets/index-abc.js": b"go();" * 9, "sw.js": b"keep();" * 9}
Handler = Callable[[web.Request], web.StreamResponse]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """An installed build."""
    (tmp_path / "assets").mkdir()
    listed = {}
    for path, data in FILES.items():
        (tmp_path / path).write_bytes(data)
        (tmp_path / f"{path}.br").write_bytes(b"brotli of " + data)
        listed[path] = {"sha256": "sha256-" + hashlib.sha256(data).hexdigest(), "size": len(data)}
    (tmp_path / "integrity.json").write_text(json.dumps({"build": "0123", "files": listed}))
    return tmp_path


@asynccontextmanager
async def serving(build: Path, others: Mapping[str, Handler]) -> AsyncIterator[str]:
    """Serve the build, but for the paths that others answer for."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if (other := others.get(request.path)) is not None:
            return other(request)
        path = request.match_info["path"] or "index.html"
        coding = request.headers["Accept-Encoding"]
        data = (build / path).read_bytes()
        if coding == "br" and path in FILES:
            return web.Response(body=b"brotli of " + data, headers={"Content-Encoding": "br"})
        if coding == "gzip":
            return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})
        return web.Response(body=data)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    finally:
        await runner.cleanup()


async def differences(build: Path, others: Mapping[str, Handler]) -> list[Finding]:
    async with serving(build, others) as url:
        return [each for each in await compare(url, None, build) if each.state != "ok"]


def steal(_: web.Request) -> web.Response:
    return web.Response(body=b"steal();")


async def test_a_server_that_serves_what_is_installed(build: Path) -> None:
    async with serving(build, {}) as url:
        [found] = await compare(url, None, build)
    assert (found.state, "0123" in found.detail) == ("ok", True)


@pytest.mark.attack("serve another web client than the release has: {row}", "roost doctor --web fails on it")
@pytest.mark.parametrize("path", ["/", "/index.html", "/assets/index-abc.js", "/sw.js", "/integrity.json"])
async def test_another_file_is_named(build: Path, path: str) -> None:
    [found] = await differences(build, {path: steal})
    assert (found.check, found.state) == (path, "failed")
    assert "is not the file that is installed here" in found.detail


@pytest.mark.attack(
    "serve another script to browsers only, compressed: {row}", "roost doctor --web asks as they do"
)
@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_another_file_in_the_coding_of_browsers_is_found(build: Path, coding: str) -> None:
    def answer(request: web.Request) -> web.Response:
        asked = request.headers["Accept-Encoding"]
        body = gzip.compress(b"steal();") if asked == "gzip" else b"brotli of steal();"
        if asked != coding:
            return web.Response(body=FILES["sw.js"])
        return web.Response(body=body, headers={"Content-Encoding": coding})

    [found] = await differences(build, {"/sw.js": answer})
    assert (found.check, coding in found.detail) == ("/sw.js", True)


@pytest.mark.attack("send roost doctor elsewhere for the file that it expects", "it follows no redirect")
async def test_a_redirect_is_a_difference(build: Path) -> None:
    def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/"})  # which has it

    [found] = await differences(build, {"/index.html": elsewhere})
    assert "is answered with 302" in found.detail


@pytest.mark.attack("answer roost doctor without end: {row}", "it reads no more than the file has")
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
async def test_an_answer_without_end_is_not_read(build: Path, *, packed: bool) -> None:
    endless = gzip.compress(bytes(100_000_000)) if packed else bytes(100_000_000)
    headers = {"Content-Encoding": "gzip"} if packed else {}
    [found] = await differences(build, {"/sw.js": lambda _: web.Response(body=endless, headers=headers)})
    assert "has more than the 63 bytes" in found.detail


async def test_a_server_that_is_not_there_is_not_taken_for_one_that_is_well(build: Path) -> None:
    found = await compare("http://127.0.0.1:1", None, build)
    assert {each.state for each in found} == {"failed"}
    assert "cannot be fetched" in found[0].detail


async def test_an_installation_without_a_client_says_so(tmp_path: Path) -> None:
    [found] = await compare("http://127.0.0.1:1", None, tmp_path)
    assert found.state == "failed"
    assert "make web" in found.fix
