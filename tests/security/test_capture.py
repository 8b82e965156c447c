"""A capture on loopback while people use a system: with TLS on every hop nothing that is known is in it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
import pytest

from cluster.local import passwords
from roost import wire
from roost.clock import now_ms
from roost.ids import uuid7
from roost.tls import client_context
from tests.certificates import Issued
from tests.encrypted import variables
from tests.field.test_rules import Person
from tests.live.app import PASSWORD
from tests.live.running import System
from tests.live.waiting import until
from tests.security.capture import Capture, own_network

_WITHIN_S: Final = 20.0


class Talk:
    """Two people: one writes, the other is woken, fetches, and is written to on a stream."""

    def __init__(self, system: System, http: aiohttp.ClientSession) -> None:
        self._system, self._http = system, http
        self._ann, self._bob = (Person(system, http) for _ in range(2))
        self._contents = [f"the harbour at four {secrets.token_hex(8)}".encode() for _ in range(2)]
        self._push = f"push-token-{secrets.token_hex(16)}"

    async def happen(self) -> None:
        """Let it all happen."""
        await self._ann.join()
        await self._bob.join()
        body = {"provider": "fcm", "token": self._push}
        await self._bob.ok("PUT", "/v1/devices/current/push", body)
        await self._write(self._contents[0])
        await until(self._not_woken, within=_WITHIN_S)
        page = await self._bob.ok("GET", "/v1/sync")
        await self._bob.ok("POST", "/v1/acks", {"seq": page["entries"][-1]["seq"]})
        url = f"{self._system.http}/v1/stream"
        async with self._http.ws_connect(url, protocols=[wire.JSON]) as socket:
            await socket.send_json({"type": "hello", "token": self._bob.tokens["access_token"]})
            await self._frame(socket, "drained")
            await self._write(self._contents[1])
            await self._frame(socket, "entries")

    def words(self) -> dict[str, bytes]:
        """Return what no one else is to read, by what it is."""
        said = {f"message {n}": wire.unpadded(each).encode() for n, each in enumerate(self._contents)}
        people = {"a name": self._ann.name, "another name": self._bob.name, "a password": PASSWORD}
        tokens = {f"{name} of Bob": str(self._bob.tokens[name]) for name in ("access_token", "refresh_token")}
        cache = passwords.file_of(self._system.data, "redis").read_text().strip()
        known = people | tokens | {"a push token": self._push, "the cache's password": cache}
        in_log = {"a message in the log": self._contents[0]}
        return said | in_log | {what: word.encode() for what, word in known.items()}

    async def _write(self, content: bytes) -> None:
        body = {"id": uuid7(now_ms(), secrets.token_bytes(10)), "to": self._bob.name, "sent_at_ms": now_ms()}
        body |= {"suite": "s", "payloads": {self._bob.device: wire.unpadded(content)}}
        await self._ann.ok("POST", "/v1/messages", body)

    async def _not_woken(self) -> str:
        async with self._http.get(f"{self._system.fcm}/pushes") as answer:
            return "" if self._push in await answer.text() else "there is no push"

    async def _frame(self, socket: aiohttp.ClientWebSocketResponse, kind: str) -> None:
        while (await socket.receive_json(timeout=_WITHIN_S))["type"] != kind:
            continue


@asynccontextmanager
async def talking(folder: Path, issued: Issued | None) -> AsyncIterator[tuple[System, Talk]]:
    """Run a system, with TLS on every hop if there are certificates."""
    system = System(folder, env={} if issued is None else variables(issued))
    await system.started()
    trusted: Any = True if issued is None else client_context(issued.ca)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as http:
            yield system, Talk(system, http)
    finally:
        system.stop_in_order()


def ports_of(system: System) -> set[int]:
    """Return every TCP port that something of the system listens on."""
    return {
        each.laddr.port
        for process in psutil.Process(system.child.pid).children(recursive=True)
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }


@pytest.mark.attack("a capture of all that goes over loopback")
@pytest.mark.parametrize("encrypted", [False, True])
async def test_nothing_known_is_read_on_the_way(tmp_path: Path, *, encrypted: bool) -> None:
    """Without TLS each word is there: so it would be found."""
    issued = Issued(tmp_path / "certs") if encrypted else None
    with own_network(), Capture() as capture:
        async with talking(tmp_path / "system", issued) as (system, talk):
            await talk.happen()
            words, ports = talk.words(), ports_of(system)
        assert not capture.dropped()
    found = {what for what, word in words.items() if capture.found([word], ports)}
    assert found == (set() if encrypted else set(words))
    assert sum(map(len, capture.bytes.values())) > 100_000, "there was nothing to see"
