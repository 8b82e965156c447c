"""Every key is replaced while people use the system: none of them notices, and no message is lost."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from roost import client as sdk
from sim.faults.system import attached
from sim.run.conductor import Conductor, Run, run_name
from sim.run.spec import Spec
from storage.keyring import PURPOSES, Purpose
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(280)

PASSWORD = "correct horse battery staple"
LEAD_S = 3
ROUNDS = 2
LOAD_S = 50.0


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    """Two of each role, whose access tokens live shorter than a test takes."""
    often = json.dumps({"rate": 20, "burst": 200})
    env = {
        "ROOST_TOKENS__ACCESS_S": "10",
        "ROOST_KEYRING__LEAD_S": str(LEAD_S),
        "ROOST_LIMITS__REFRESHES": often,
    }
    many = ("--hosts", "2", "--routers", "2", "--gateways", "2")
    system = await System(tmp_path, *many, env=env).started()
    yield system
    await asyncio.to_thread(system.stop)


async def keys(system: System, *words: str) -> dict[str, Any]:
    """Run ``roost keys`` and return what it printed."""
    command = (sys.executable, "-m", "roost", "keys", *words, "--data", str(system.data), "--json")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    printed: dict[str, Any] = json.loads(out)
    return printed


async def states(system: System) -> dict[str, str]:
    return {key["id"]: key["state"] for key in (await keys(system, "list"))["keys"]}


class Visitor:
    """Somebody who logs in, refreshes, looks at profiles and changes one, and notes every error.

    Attributes:
        calls: How many there were.
        errors: What was answered with an error.
        signed_s: Key ids of the tokens that were given, and when the first of each was.
    """

    def __init__(self, system: System, http: aiohttp.ClientSession, name: str) -> None:
        self._url, self._http, self._name = system.http, http, name
        self._account = {"username": name, "password": PASSWORD, "email": f"{name}@example.org"}
        self._tokens: dict[str, Any] = {}
        self.calls = 0
        self.errors: list[str] = []
        self.signed_s: dict[str, float] = {}

    async def visit(self) -> None:
        """Go on until it is cancelled."""
        await self._call("POST", "/v1/accounts", self._account)
        login = {"username": self._name, "password": PASSWORD, "device": {"name": "telephone"}}
        self._take(await self._call("POST", "/v1/sessions", login))
        for number in range(1_000_000):
            await self._call("GET", "/v1/me")
            await self._call("GET", f"/v1/users/{self._name}")
            await self._call("PATCH", "/v1/me", {"display_name": f"{self._name} {number}"})
            push = {"provider": "fcm", "token": f"token-{self._name}-{number}"}
            await self._call("PUT", "/v1/devices/current/push", push)
            spent = {"refresh_token": self._tokens["refresh_token"]}
            given = await self._call("POST", "/v1/sessions/refresh", spent)
            # As after a lost reply: the same answer, whichever gateway it is and whatever the key is by now.
            await asyncio.sleep(1)
            again = await self._call("POST", "/v1/sessions/refresh", spent)
            if given.get("refresh_token") != again.get("refresh_token"):
                self.errors.append("another refresh token than the one whose reply was lost")
            self._take(again)
            await asyncio.sleep(1)

    def _take(self, tokens: dict[str, Any]) -> None:
        assert "access_token" in tokens, self.errors
        self._tokens = tokens
        self.signed_s.setdefault(jwt.get_unverified_header(tokens["access_token"])["kid"], time.monotonic())

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        token = self._tokens.get("access_token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.calls += 1
        async with self._http.request(method, self._url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 400:
                self.errors.append(f"{method} {path}: {answer.status} {text}")
            return dict(json.loads(text)) if text else {}


async def look_at_keys(system: System, http: aiohttp.ClientSession, published_s: dict[str, float]) -> None:
    """Note when each token key is published first."""
    while True:
        async with http.get(f"{system.http}/.well-known/jwks.json") as answer:
            for key in (await answer.json())["keys"]:
                published_s.setdefault(key["kid"], time.monotonic())
        await asyncio.sleep(0.2)


async def load(system: System, folder: Path) -> Run:
    """Many virtual users, whose ledger says at the end whether each message came once and in order."""
    folder.mkdir()  # noqa: ASYNC240 -- at once
    spec = Spec(
        server=system.http,
        fcm=system.ready["fcm"],
        folder=str(folder),
        name=run_name(),
        users=12,
        rate=20,
        duration_s=LOAD_S,
        seed=11,
        scenario="flaky-mobile",
        devices=0.2,
        polls=0.2,
        settle_s=20,
    )
    async with attached(system.http) as found:
        return await Conductor(found, spec, [], lambda *_: None).conduct()


async def rotated(system: System, purpose: Purpose) -> None:
    """Replace one key, and wait until it is used."""
    before = await states(system)
    after = await keys(system, "rotate", purpose)
    [new] = {key["id"] for key in after["keys"]} - set(before)
    await until(lambda: _is(system, new, "active"), within=LEAD_S + 5)


async def _is(system: System, key: str, state: str) -> str:
    found = (await states(system))[key]
    return "" if found == state else f"{key} is {found}"


async def test_every_key_is_rotated_under_load_without_an_error(system: System, tmp_path: Path) -> None:
    published_s: dict[str, float] = {}
    async with sdk.connections() as http:
        looking = asyncio.create_task(look_at_keys(system, http, published_s))
        await until(lambda: "" if published_s else "no key is published", within=10)
        visitors = [Visitor(system, http, f"visitor{number}") for number in range(4)]
        visits = [asyncio.create_task(visitor.visit()) for visitor in visitors]
        loading = asyncio.create_task(load(system, tmp_path / "load"))
        for _ in range(ROUNDS):
            for purpose in PURPOSES:
                await rotated(system, purpose)
            done = await keys(system, "reencrypt")
            assert (done["broken"], done["left"]) == ([], {})
            assert len(done["can_retire"]) == 2, "a storage key and an index key"
            for key in done["can_retire"]:
                await keys(system, "retire", key)
        run = await loading
        tasks = [looking, *visits]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in ended if not isinstance(each, asyncio.CancelledError)] == []
    assert [error for visitor in visitors for error in visitor.errors] == []
    assert sum(visitor.calls for visitor in visitors) > 300
    assert {len(visitor.signed_s) for visitor in visitors} == {ROUNDS + 1}, "each key signed in its turn"
    for key, first_s in [each for visitor in visitors for each in visitor.signed_s.items()]:
        assert published_s[key] < first_s, "it is published before it signs"
    assert run.verdict.holds, run.verdict.stories
    assert run.verdict.totals.sent == run.verdict.totals.acked > 0
    assert not run.harness[0].troubles
    assert (await keys(system, "reencrypt"))["changed"] == 0
