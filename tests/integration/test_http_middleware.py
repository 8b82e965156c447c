"""What surrounds the routes: bodies that are slow, pages of other origins, and who may be told what."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect

from api.app import add_handlers
from api.http import bodies
from api.http.middleware import Middleware
from api.http.routing import ApiRoute
from api.identity.client_address import TrustedProxies
from roost.errors import RoostError
from telemetry.gateway_metrics import GatewayMetrics

ORIGIN = "https://chat.example.org"


def application(origins: tuple[str, ...] = ()) -> Any:
    inner = FastAPI()
    inner.router.route_class = ApiRoute
    add_handlers(inner)

    @inner.post("/v1/echo")
    async def echo(body: dict[str, Any]) -> dict[str, Any]:
        if body.get("break"):
            raise ZeroDivisionError
        if body.get("refuse"):
            raise RoostError("forbidden", "No.")
        return body

    @inner.get("/page")
    async def page() -> str:
        return "page"

    streams: Any = None  # there is no socket here
    return Middleware(inner, streams, GatewayMetrics(), origins)


async def asked(
    app: Any, body: bytes = b"{}", *, method: str = "POST", path: str = "/v1/echo", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask once; returns status, headers and body."""
    named = {"host": "a", "content-type": "application/json", "content-length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "http_version": "1.1",
        "client": ("192.0.2.1", 1),
        "server": ("a", 80),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


ANSWERS = [
    (200, b"{}", {}),
    (413, b" " * 100_000, {}),
    (415, b"{}", {"content_type": "text/plain"}),
    (400, b"{", {}),
    (422, b"[]", {}),
    (403, b'{"refuse": true}', {}),
    (500, b'{"break": true}', {}),
    (404, b"{}", {"path": "/v1/nothing"}),
    (405, b"{}", {"method": "PUT"}),
]


@pytest.mark.attack(
    "read a user's answers from a page of another origin",
    "no CORS header but for the origins that are set",
)
@pytest.mark.parametrize(("status", "body", "how"), ANSWERS, ids=[str(each[0]) for each in ANSWERS])
async def test_a_page_of_an_allowed_origin_can_read_every_answer(status: int, body: bytes, how: Any) -> None:
    told, headers, _ = await asked(application((ORIGIN,)), body, origin=ORIGIN, **how)
    assert told == status
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "Date" in headers["access-control-expose-headers"]  # the clock that ids are made by
    told, headers, _ = await asked(application((ORIGIN,)), body, origin="https://elsewhere.org", **how)
    assert "access-control-allow-origin" not in headers
    _, headers, _ = await asked(application(), body, origin=ORIGIN, **how)
    assert "access-control-allow-origin" not in headers


@pytest.mark.attack(
    "find answers with tokens in a cache on the way", "Cache-Control: no-store below /v1/ and /admin/v1/"
)
@pytest.mark.parametrize(("status", "body", "how"), ANSWERS, ids=[str(each[0]) for each in ANSWERS])
async def test_what_is_for_the_caller_alone_is_not_stored(status: int, body: bytes, how: Any) -> None:
    told, headers, _ = await asked(application(), body, **how)
    assert (told, headers["cache-control"]) == (status, "no-store")
    assert headers["x-content-type-options"] == "nosniff"
    told, headers, _ = await asked(application(), b"", method="GET", path="/admin/v1/nothing")
    assert (told, headers["cache-control"]) == (404, "no-store")
    _, headers, _ = await asked(application(), b"", method="GET", path="/page")
    assert "cache-control" not in headers


@pytest.mark.parametrize(("path", "status"), [("/page", 200), ("/v1/echo", 405), ("/nothing", 404)])
async def test_head_is_answered_as_get(path: str, status: int) -> None:
    told, headers, _ = await asked(application(), b"", method="HEAD", path=path)
    assert told == status
    assert int(headers["content-length"]) > 0


@pytest.mark.attack(
    "have limits and logs count another address than one's own", "the header is read of trusted proxies only"
)
async def test_the_address_behind_a_trusted_proxy_is_the_requests() -> None:
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    for trusted in ((), ("198.51.100.1",), ("192.0.2.0/24",)):
        streams: Any = None
        proxies = TrustedProxies(trusted)
        await asked(
            Middleware(app, streams, GatewayMetrics(), proxies=proxies), b"", x_forwarded_for="203.0.113.5"
        )
    assert seen == ["192.0.2.1", "192.0.2.1", "203.0.113.5"]


def request_of(receive: Callable[[], Any]) -> Request:
    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "path": "/v1/echo", "headers": headers}, receive)


def arriving(*chunks: bytes, pause_s: float, end: bool = True) -> Callable[[], Any]:
    """Return a ``receive`` that gives one chunk after each pause."""

    async def paced() -> AsyncIterator[Any]:
        for chunk in chunks:
            await asyncio.sleep(pause_s)
            yield {"type": "http.request", "body": chunk, "more_body": True}
        await asyncio.sleep(pause_s)
        yield {"type": "http.request", "more_body": False} if end else {"type": "http.disconnect"}

    pace = paced()
    return lambda: anext(pace)


async def test_a_body_may_be_as_slow_as_a_poor_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 KB at 2 KB a second, a hundred times as fast."""
    monkeypatch.setattr(bodies, "_GRACE_S", 0.2)
    monkeypatch.setattr(bodies, "_BYTES_PER_S", 100_000)
    monkeypatch.setitem(bodies.LONGER, "/v1/echo", 100_000)
    request = request_of(arriving(*[b"x" * 4_000] * 20, pause_s=0.02))
    await bodies.read_body(request)
    assert await request.body() == b"x" * 80_000


@pytest.mark.attack("hold a request open with a slow body: {row}", "20 s, and a second for each 1,000 bytes")
@pytest.mark.parametrize("chunks", [(), (b"{",), (b"x",) * 50], ids=["nothing", "no more", "too little"])
async def test_a_body_that_trickles_is_refused(monkeypatch: pytest.MonkeyPatch, chunks: Any) -> None:
    monkeypatch.setattr(bodies, "_GRACE_S", 0.2)
    with pytest.raises(RoostError) as caught:
        await bodies.read_body(request_of(arriving(*chunks, pause_s=0.02 if len(chunks) > 1 else 5)))
    assert caught.value.code.word == "too_slow"


@pytest.mark.attack("have a body carried out that broke off", "what breaks off is no body")
async def test_a_body_that_breaks_off_is_no_body() -> None:
    with pytest.raises(ClientDisconnect):
        await bodies.read_body(request_of(arriving(b"{}", pause_s=0, end=False)))


async def test_the_problem_of_a_head_request_is_one() -> None:
    _, _, body = await asked(application(), b"", method="HEAD", path="/nothing")
    assert json.loads(body)["code"] == "not_found"  # the server leaves it out
