"""The feed of operators' pages: one loop for all, only while one listens, and no page holds up another."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from api.ops import feed as module
from api.ops.feed import PAGES, Feed
from api.ops.frames import bye
from api.ops.reader import FRAMES, Reader
from cluster.ops.wire import Answer, Figures, History, OperationState, Seen, State
from roost.errors import RoostError, Unavailable
from storage.event_records import Event

NOW_MS = 1_795_000_000_000


class Coordinator:
    """Has one more figure and one more event at each question, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[Seen] = []
        self.away = False
        self.incarnation = "c1"
        self.operations: list[OperationState] = []

    async def status(self) -> dict[str, Any]:
        return {}

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        seen = msgspec.convert(message["seen"], Seen)
        self.asked.append(seen)
        if self.away:
            raise Unavailable("The coordinator does not answer.")
        count = len(self.asked)
        figures = [Figures(NOW_MS + step, {"accepted_per_s": 1.0}, {}) for step in range(1, count + 1)]
        events = [
            Event(step, NOW_MS, "role_started", f"host-{step}", "Started.", "info")
            for step in range(1, count + 1)
        ]
        answer = Answer(
            coordinator=self.incarnation,
            release="1.0",
            now_ms=NOW_MS,
            state_of="s",
            told=count,
            state=None if seen.state == "s" else State(NOW_MS, 1, True, [], [], [], []),  # noqa: FBT003 -- ready
            figures=[each for each in figures if each.at_ms > seen.figures_ms],
            events=[each for each in events if each.n > seen.told],
            operations=self.operations,
            history=History([NOW_MS], {"accepted_per_s": [0.0]}) if seen.history else None,
        )
        found: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(answer))
        return found


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def feed(coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> Feed:
    monkeypatch.setattr(module, "_EVERY_S", 0.001)
    return Feed(coordinator, "example.org", lambda: NOW_MS)


def parsed(data: bytes) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in data.decode().split("\n\n") if block]
    return [
        (event.removeprefix("event: "), msgspec.json.decode(line.removeprefix("data: ")))
        for event, line in blocks
    ]


async def collected(reader: Reader, enough: Callable[[list[tuple[str, Any]]], bool]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    while not enough(found):
        found += parsed(await reader.next(5))
    return found


async def test_a_page_is_sent_everything_once_and_in_order(feed: Feed) -> None:
    with feed.listening() as reader:
        await asyncio.sleep(0.02)  # the feed runs already
        first = parsed(await feed.beginning(reader))
        assert [name for name, _ in first[:4]] == ["hello", "history", "state", "figures"]
        assert first[0][1]["server_name"] == "example.org"
        last = first[3][1]["at_ms"]
        rest = await collected(reader, lambda found: sum(name == "figures" for name, _ in found) >= 3)
        events = [data["n"] for name, data in first + rest if name == "event"]
        # One that came in between may be in both answers: a page knows an event by its number.
        assert sorted(set(events)) == list(range(1, max(events) + 1))
        assert len(events) <= max(events) + 1
        times = [data["at_ms"] for name, data in rest if name == "figures"]
        assert times == list(range(last + 1, times[-1] + 1))


async def test_one_loop_serves_all_pages_and_ends_with_the_last(feed: Feed, coordinator: Coordinator) -> None:
    with feed.listening() as one, feed.listening() as other:
        for reader in (one, other):
            await collected(reader, lambda found: len(found) > 3)
        assert all(asked.told <= count for count, asked in enumerate(coordinator.asked))
        assert len(asyncio.all_tasks()) == 2  # this one, and the loop
    await asyncio.sleep(0.01)
    count = len(coordinator.asked)
    await asyncio.sleep(0.01)
    assert (len(coordinator.asked), len(feed)) == (count, 0)


async def test_that_the_coordinator_is_away_is_told_once_and_then_goes_on(
    feed: Feed, coordinator: Coordinator
) -> None:
    coordinator.away = True
    with feed.listening() as reader:
        with pytest.raises(Unavailable):
            await feed.beginning(reader)
        assert parsed(await reader.next(5)) == [
            ("away", {"at_ms": NOW_MS, "detail": "The coordinator does not answer."})
        ]
        await asyncio.sleep(0.01)
        coordinator.away = False
        found = await collected(reader, bool)
        assert found[0][0] == "state"


async def test_an_operation_is_sent_when_it_is_a_step_further(feed: Feed, coordinator: Coordinator) -> None:
    step = OperationState(0, "scale", "host=2", "user:ann", done=False, stage="", lines=[], failure="")
    coordinator.operations = [step]
    with feed.listening() as reader:
        await collected(reader, lambda found: any(name == "operation" for name, _ in found))
        later = await collected(reader, lambda found: len(found) > 5)
        assert "operation" not in dict(later)
        coordinator.operations = [msgspec.structs.replace(step, done=True, lines=["host-2 at work."])]
        [done] = [
            data
            for name, data in await collected(reader, lambda found: "operation" in dict(found))
            if name == "operation"
        ]
        assert done["done"]


async def test_a_page_that_does_not_read_is_ended_and_holds_up_no_other(feed: Feed) -> None:
    with feed.listening() as idle, feed.listening() as reader:
        await collected(reader, lambda found: sum(name == "figures" for name, _ in found) > FRAMES)
        with pytest.raises(RoostError) as caught:
            await idle.next(5)
        assert caught.value.code.word == "too_slow"
        assert b'"code":"too_slow"' in bye(caught.value)


async def test_there_are_so_many_pages_and_no_more(feed: Feed) -> None:
    with ExitStack() as stack:
        for _ in range(PAGES):
            stack.enter_context(feed.listening())
        with pytest.raises(RoostError) as caught, feed.listening():
            raise AssertionError
        assert caught.value.code.word == "unavailable"
    with feed.listening():
        assert len(feed) == 1


async def test_a_gateway_that_stops_says_goodbye(feed: Feed) -> None:
    with feed.listening() as reader:
        await collected(reader, bool)
        await feed.close()
        with pytest.raises(RoostError) as caught:
            await reader.next(5)
        assert caught.value.code.word == "going_away"


async def test_nothing_is_sent_while_there_is_nothing() -> None:
    assert await Reader().next(0.001) == b""
