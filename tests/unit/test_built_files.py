"""How the web client's files are answered."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api.http import built_files
from api.routes import web_client

PAGE = b"<!doctype html><title>Roost</title>" * 20
SCRIPT = b"export const one = 1;\n" * 50
GZIPPED = {data: gzip.compress(data) for data in (PAGE, SCRIPT)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build."""
    files = {"index.html": PAGE, "assets/index-abc.js": SCRIPT, "icons/a.png": b"png"}
    for path, data in files.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        if not path.endswith("png"):
            file.with_name(f"{file.name}.gz").write_bytes(GZIPPED[data])
    (tmp_path / "index.html.br").write_bytes(b"as brotli")
    listed = {
        path: {"sha256": "sha256-" + 43 * path[-1] + "=", "size": len(data)} for path, data in files.items()
    }
    (tmp_path / "integrity.json").write_text(json.dumps({"build": "0123", "files": listed}))
    (tmp_path / "secret.txt").write_text("not in the list")
    return tmp_path


class Answer:
    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body = b"".join(each.get("body", b"") for each in sent[1:])


async def get(folder: Path, path: str, method: str = "GET", **headers: str) -> Answer:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.router.routes.extend(web_client.routes(built_files.read(folder)))
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
    await app(scope, receive, send)
    return Answer(sent)


async def test_the_page_is_at_the_root_and_asked_for_again(folder: Path) -> None:
    for path in ("/", "/index.html"):
        answer = await get(folder, path)
        assert (answer.status, answer.body) == (200, PAGE)
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"].startswith("text/html")


async def test_files_with_their_hash_in_the_name_are_kept_for_a_year(folder: Path) -> None:
    answer = await get(folder, "/assets/index-abc.js")
    assert (answer.body, answer.headers["cache-control"]) == (SCRIPT, "public, max-age=31536000, immutable")
    assert answer.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("accepted", "path", "coding"),
    [
        ("gzip, deflate, br", "/", "br"),
        ("gzip", "/", "gzip"),
        ("GZIP;q=0.5", "/", "gzip"),
        ("br", "/assets/index-abc.js", ""),
        ("br, gzip", "/assets/index-abc.js", "gzip"),
        ("br;q=0, gzip;q=0.0", "/", ""),
        ("br; q=0 , gzip", "/", "gzip"),
        ("brotli, *", "/", ""),
        ("", "/", ""),
        ("br, gzip", "/icons/a.png", ""),
    ],
)
async def test_the_coding_is_one_that_the_browser_names(
    folder: Path, accepted: str, path: str, coding: str
) -> None:
    answer = await get(folder, path, accept_encoding=accepted)
    assert answer.headers.get("content-encoding", "") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    plain = PAGE if path == "/" else SCRIPT if path.endswith("js") else b"png"
    assert answer.body == {"": plain, "gzip": GZIPPED.get(plain), "br": b"as brotli"}[coding]


async def test_what_the_browser_has_is_not_sent_again(folder: Path) -> None:
    plain, packed = await get(folder, "/"), await get(folder, "/", accept_encoding="gzip")
    assert plain.headers["etag"] != packed.headers["etag"]
    again = await get(folder, "/", accept_encoding="gzip", if_none_match=f'"x", W/{packed.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == packed.headers["etag"]
    other = await get(folder, "/", if_none_match=packed.headers["etag"])
    assert (other.status, other.body) == (200, PAGE)


@pytest.mark.attack("have the web client take text for code: {row}", "a policy that demands Trusted Types")
@pytest.mark.parametrize("path", ["/", "/assets/index-abc.js", "/icons/a.png", "/integrity.json"])
async def test_every_file_comes_with_the_policy(folder: Path, path: str) -> None:
    answer = await get(folder, path)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'"} <= set(policy)
    assert {"connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert "unsafe" not in str(policy)
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in answer.headers["permissions-policy"]
    assert "microphone=()" in answer.headers["permissions-policy"]


@pytest.mark.attack("read a file beside the web client's", "only what the build lists is served")
async def test_what_the_build_does_not_list_is_not_served(folder: Path) -> None:
    assert (await get(folder, "/secret.txt")).status == 404


@pytest.mark.attack("name a file of the server's machine to the web client: {row}", "a look-up by exact name")
@pytest.mark.parametrize(
    "path",
    [
        "/assets/../secret.txt",
        "/../conftest.py",
        "/assets/%2e%2e/secret.txt",
        "//etc/passwd",
        "/assets/",
        "/assets/index-abc.js/",
        "/assets/index-abc.js.gz",
    ],
)
async def test_nothing_else_of_the_machine_is_served(folder: Path, path: str) -> None:
    assert (await get(folder, path)).status == 404


async def test_files_are_only_read(folder: Path) -> None:
    assert (await get(folder, "/", "POST")).status == 405


def test_without_a_build_there_is_nothing(tmp_path: Path) -> None:
    assert built_files.read(tmp_path) == {}
    assert list(web_client.routes({})) == []
