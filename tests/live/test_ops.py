"""What operators are shown of a system that things happen to; the quick part is in `test_admin`."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.live.running import System, frozen
from tests.live.test_admin import admin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def token_of_an_observer(system: System, http: aiohttp.ClientSession, name: str) -> str:
    made = await admin(system, "create-user", name, "--generate", "--scope", "observer")
    body = {"username": name, "password": made["password"], "device": {"name": "x"}}
    async with http.post("/v1/sessions", json=body) as answer:
        token: str = (await answer.json())["access_token"]
        return token


class Told:
    """What a page that goes on listening was told."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, Any]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        """The line of events as it is known by now."""
        known = {data["n"]: data for name, data in self.frames if name == "event"}
        return [known[n] for n in sorted(known)]

    async def until(self, *wanted: tuple[str, str]) -> None:
        """Return once an event of each kind and subject was told."""
        async with asyncio.timeout(60):
            while not set(wanted) <= {(each["kind"], each["subject"]) for each in self.events}:
                await asyncio.sleep(0.1)

    async def follow(self, http: aiohttp.ClientSession, token: str) -> None:
        """Listen, and come again as a page does."""
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            try:
                async with http.get("/admin/v1/stream", headers=headers) as answer:
                    async for line in answer.content:
                        if line.startswith(b"event: "):
                            name = line[7:].decode().strip()
                        elif line.startswith(b"data: "):
                            self.frames.append((name, json.loads(line[6:])))
            except aiohttp.ClientError:
                await asyncio.sleep(0.2)


@asynccontextmanager
async def told(http: aiohttp.ClientSession, token: str) -> AsyncIterator[Told]:
    page = Told()
    task = asyncio.create_task(page.follow(http, token))
    try:
        yield page
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stored(http: aiohttp.ClientSession, token: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get("/admin/v1/events?limit=1000", headers=headers) as answer:
        found: list[dict[str, Any]] = (await answer.json())["events"]
        return found


async def test_the_line_tells_what_happened_and_outlives_the_coordinator(system: System) -> None:
    """What a page was told is there after a `kill -9`, and what went on is no news to the next one."""
    async with aiohttp.ClientSession(system.http) as http:
        token = await token_of_an_observer(system, http, "an.observer")
        async with told(http, token) as page:
            async with system.killed("host") as host:
                await page.until(("role_replaced", host["name"]))
            before = page.events
            replaced = [
                each for each in before if each["kind"] == "role_replaced" and each["subject"] == host["name"]
            ]
            assert replaced[-1]["more"]["pid"] == host["heir"]
            async with system.killed("coordinator"):
                pass
            begins = sum(each["subject"] == "coordinator" for each in before)
            async with asyncio.timeout(60):
                while sum(each["subject"] == "coordinator" for each in page.events) == begins:
                    await asyncio.sleep(0.1)
            seen = len(page.frames)  # two steps of figures: by then it has told what it must not
            async with asyncio.timeout(30):
                while sum(name == "figures" for name, _ in page.frames[seen:]) < 2:
                    await asyncio.sleep(0.1)
            after = page.events
        kept = {each["n"]: each for each in await stored(http, token)}
        assert all(each.get("stored", True) for each in before)
        assert {each["n"] for each in before} <= kept.keys()
        news = [
            each["kind"] for each in after if each["n"] > before[-1]["n"] and each["subject"] != "coordinator"
        ]
        assert not {"role_started", "role_replaced"} & set(news), news


async def test_that_the_store_hangs_is_told_at_once_and_stored_later(system: System) -> None:
    async with aiohttp.ClientSession(system.http) as http:
        token = await token_of_an_observer(system, http, "other.observer")
        [mongo] = await system.roles("mongo")
        async with told(http, token) as page:
            await page.until(("role_started", "coordinator"))
            async with frozen(mongo["pid"]):
                [router, *_] = await system.roles("router")
                os.kill(router["pid"], signal.SIGKILL)
                await page.until(("role_replaced", router["name"]))
                replaced = [each for each in page.events if each["kind"] == "role_replaced"][-1]
                assert replaced["stored"] is False
            async with asyncio.timeout(60):
                while "stored" in next(each for each in page.events if each["n"] == replaced["n"]):
                    await asyncio.sleep(0.1)
        assert replaced["n"] in {each["n"] for each in await stored(http, token)}
