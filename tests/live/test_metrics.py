"""Metrics and status of a running system: one scrape target, and all that deploy/ and docs/ name."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from roost import client as sdk
from roost.errors import RoostError
from tests.deployed import GIVEN_BY_PROMETHEUS, RUNBOOK, expressions, selectors
from tests.live.app import App
from tests.live.running import System
from tests.live.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

UNSCRAPED = {"kafka", "mongo", "redis", "fcm", "spare"}
MESSAGES = 20
LOOP = 5
UP_ONE_LINE = b"\x1b[1A"


async def scrape(system: System) -> list[Sample]:
    async with aiohttp.ClientSession() as http, http.get(system.ready["metrics"]) as answer:
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
        return [sample for family in families for sample in family.samples]


async def total(system: System, name: str, **labels: str) -> float:
    found = [
        each for each in await scrape(system) if each.name == name and labels.items() <= each.labels.items()
    ]
    assert found, f"there is no {name} {labels}"
    return sum(each.value for each in found)


class Pair:
    """Ann writes to Ben."""

    def __init__(self, system: System, http: aiohttp.ClientSession) -> None:
        self.system, self.http = system, http
        self.ann = App(system.http, "metric.ann", http)
        self.ben = App(system.http, "metric.ben", http)

    async def hears(self, text: str) -> None:
        await self.ben.gets(lambda: text in self.ben.texts(), text)

    async def until_total(self, least: float, name: str, **labels: str) -> None:
        async def missing() -> str:
            found = await total(self.system, name, **labels)
            return "" if found >= least else f"{name} {labels} is {found}"

        await until(missing, within=15, every=0.2)

    async def scale(self, wish: str) -> None:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "roost", "scale", wish, "--data", str(self.system.data))
        )
        assert await child.wait() == 0

    async def type_often(self) -> None:
        for _ in range(15):
            await self.ben.call("POST", "/v1/typing", {"peer": self.ann.name, "state": "typing"})

    async def stream(self) -> aiohttp.ClientWebSocketResponse:
        """Attach a stream of Ben's device that acknowledges nothing."""
        token = self.ben.client.api.tokens.access
        socket = await self.http.ws_connect(
            f"{self.system.http}/v1/stream",
            protocols=["roost.v1.json"],
            headers={"Authorization": f"Bearer {token}"},
        )
        await socket.send_json({"type": "hello", "token": token})
        return socket

    async def entries(self, socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
        while True:
            said = await socket.receive(timeout=15)
            assert said.type is aiohttp.WSMsgType.TEXT, said
            frame: dict[str, Any] = json.loads(said.data)
            if frame["type"] == "entries":
                return frame


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(system: System) -> AsyncIterator[Pair]:
    async with sdk.connections() as http:
        made = Pair(system, http)
        await asyncio.gather(made.ann.join(), made.ben.join())
        for number in range(MESSAGES):
            await made.ann.client.send("metric.ben", f"hello {number}")
        await made.hears(f"hello {MESSAGES - 1}")
        yield made
        await made.ann.client.close()


async def test_every_metric_that_rules_and_panels_name_is_there(pair: Pair) -> None:
    there = await scrape(pair.system)
    wanted = {selector for expression in expressions() for selector in selectors(expression)}
    missing = [
        selector
        for selector in wanted
        if selector.metric not in GIVEN_BY_PROMETHEUS
        and not any(each.name == selector.metric and selector.equal <= each.labels.items() for each in there)
    ]
    assert missing == []
    assert len(wanted) > 40


async def test_every_metric_is_in_the_runbook_and_the_other_way_round(pair: Pair) -> None:
    suffixes = re.compile(r"_(bucket|sum|count)$")
    shown = {
        suffixes.sub("", each.name) for each in await scrape(pair.system) if each.name.startswith("roost_")
    }
    written = re.findall(r"^\| `(roost_\w+)`", RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(written) == sorted(shown)


async def shown_and_there(system: System) -> tuple[dict[str, float], set[str]]:
    """Return the roles of the scrape with what it says of them, and those of ``roost status``."""
    there = await scrape(system)
    shown = {each.labels["name"]: each.value for each in there if each.name == "roost_role_scraped"}
    return shown, await scraped(system)


async def scraped(system: System) -> set[str]:
    return {row["name"] for row in await system.roles() if row["role"] not in UNSCRAPED}


async def test_every_role_is_shown_under_its_name(pair: Pair) -> None:
    shown, there = await shown_and_there(pair.system)
    assert shown == dict.fromkeys(there, 1)
    resident = [each for each in await scrape(pair.system) if each.name == "process_resident_memory_bytes"]
    assert {each.labels["name"] for each in resident} == there
    assert all(each.labels["role"] == each.labels["name"].split("-")[0] for each in resident)


async def test_a_role_that_comes_is_shown_and_one_that_was_sent_away_is_not_missed(pair: Pair) -> None:
    before = (await shown_and_there(pair.system))[0]
    pushers = sum(name.startswith("pusher") for name in before)
    for count, roles in ((pushers + 1, len(before) + 1), (pushers, len(before))):
        await pair.scale(f"pusher={count}")
        shown, there = await shown_and_there(pair.system)
        assert shown == dict.fromkeys(there, 1)
        assert len(shown) == roles


async def test_on_a_terminal_the_status_is_drawn_in_place_until_ctrl_c(system: System) -> None:
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "roost", "status", "--every", "0.3", "--data", str(system.data))
    child = await asyncio.create_subprocess_exec(*command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = bytearray()

    def missing() -> str:
        with contextlib.suppress(BlockingIOError):
            seen.extend(os.read(ours, 65536))
        return "" if seen.count(b"coordinator") >= 3 else f"only {bytes(seen)!r}"

    await until(missing, within=30)
    assert UP_ONE_LINE in seen
    assert all(name.encode() in seen for name in ("host-", "gateway-", "kafka", "running"))
    child.send_signal(signal.SIGINT)
    assert await child.wait() == 0
    os.close(ours)


async def test_messages_and_receipts_are_timed(system: System, pair: Pair) -> None:
    await pair.until_total(MESSAGES, "roost_delivery_seconds_count", entry="message")
    await pair.until_total(1, "roost_delivery_seconds_count", entry="receipt")
    count = await total(system, "roost_delivery_seconds_count", entry="message")
    assert 0 < await total(system, "roost_delivery_seconds_sum", entry="message") / count < 5
    assert await total(system, "roost_accept_seconds_count") >= MESSAGES
    assert await total(system, "roost_mailbox_drain_seconds_count") >= 2
    assert await total(system, "roost_messages_accepted_total") >= MESSAGES
    await pair.until_total(MESSAGES, "roost_store_batch_documents_sum")
    lag = [each for each in await scrape(system) if each.name == "roost_log_lag_records"]
    shards = {str(number) for number in range((await system.status())["shards"])}
    assert {(each.labels["topic"], each.labels["shard"]) for each in lag} == {
        (topic, shard) for topic in ("mailbox", "push") for shard in shards
    }


async def test_a_phone_that_was_woken_is_seen_to_come(system: System, pair: Pair) -> None:
    token = {"provider": "fcm", "token": "phone-of-metric-ben"}
    await pair.ben.call("PUT", "/v1/devices/current/push", token)
    fetched = await total(system, "roost_wakeup_fetched_seconds_count")
    await pair.ben.leave()
    await pair.ann.client.send("metric.ben", "wake up")

    async def missing() -> str:
        return "" if any(each["token"] == token["token"] for each in await system.pushes()) else "no push"

    await until(missing, within=30)
    await pair.ben.come_back()
    await pair.hears("wake up")
    await pair.until_total(fetched + 1, "roost_wakeup_fetched_seconds_count")
    assert await total(system, "roost_wakeups_total", outcome="sent") >= 1


async def test_a_refusal_by_a_limiter_is_counted(system: System, pair: Pair) -> None:
    before = await total(system, "roost_limiter_hits_total", limiter="typing")
    with pytest.raises(RoostError) as stopped:
        await pair.type_often()
    assert stopped.value.code.word == "rate_limited"
    assert await total(system, "roost_limiter_hits_total", limiter="typing") > before


async def test_a_device_that_dies_of_an_entry_again_and_again_is_seen(system: System, pair: Pair) -> None:
    await pair.ben.leave()
    await pair.ann.client.send("metric.ben", "poison to a bad client")
    loops = await total(system, "roost_redelivery_loops_total")
    displaced = await total(system, "roost_streams_ended_total", code="displaced")
    sockets = []
    for _ in range(LOOP):
        sockets.append(await pair.stream())
        await pair.entries(sockets[-1])
    await pair.until_total(loops + 1, "roost_redelivery_loops_total")
    await pair.until_total(displaced + LOOP - 1, "roost_streams_ended_total", code="displaced")
    assert await total(system, "roost_redeliveries_total") >= LOOP - 1
    assert await total(system, "roost_entries_unacknowledged") >= 1
    await pair.until_total(0.5, "roost_entries_unacknowledged_oldest_seconds")
    for socket in sockets:
        await socket.close()
    await pair.ben.come_back()
    await pair.hears("poison to a bad client")
    await pair.ben.leave()


async def test_when_the_role_that_holds_the_port_dies_another_takes_it(system: System, pair: Pair) -> None:
    port = int(system.ready["metrics"].split(":")[2].split("/")[0])

    def holder() -> int | None:
        found = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port
        ]
        return found[0] if found else None

    first = holder()
    assert first in {row["pid"] for row in await system.roles()}
    os.kill(first, signal.SIGKILL)
    took = await until(lambda: "" if holder() not in (None, first) else "no role has the port", within=10)
    assert took < 5
    await pair.until_total(len(await scraped(system)), "roost_role_scraped")
    assert await total(system, "roost_build_info") >= 1
