"""A live trace: what is kept while someone watches, of whom, for how long; and nothing before and after."""

import asyncio
from collections.abc import Iterator

import pytest
from msgspec import msgpack

from roost.ids import uuid7
from telemetry import traces
from telemetry.live_traces import LiveTraces
from telemetry.traces import Span, Tracer
from tests.live.waiting import until_found

CAUSE, OTHER = uuid7(1, bytes(10)), uuid7(2, bytes(10))


@pytest.fixture(autouse=True)
def _none_before() -> Iterator[None]:
    assert traces.tracer is None
    yield
    traces.tracer = None


@pytest.fixture
def live() -> LiveTraces:
    return LiveTraces()


def steps(live: LiveTraces, by: str = "eve", user: str = "", cause: str = "") -> list[tuple[str, str]]:
    return [(step, of) for _, step, of, _ in live.seen(by, user, cause)["hops"]]


def one_step(step: str, cause: str, *users: str) -> None:
    assert traces.tracer is not None
    traces.tracer.begin(step, cause)
    traces.tracer.end(step, cause, cause, users, seq=7)


async def test_steps_of_the_watched_user_only_are_kept_and_told_to_who_watches_only(live: LiveTraces) -> None:
    assert live.arm("u1", "alice", "eve", 60)
    one_step(traces.ACCEPT, CAUSE, "u1", "bob")
    one_step(traces.ACCEPT, OTHER, "u2", "carol")
    one_step(traces.HAND_OVER, OTHER, "u3", "u1")
    assert traces.tracer is not None
    traces.tracer.span(traces.PUSH, CAUSE, 0, ("u1",), outcome="sent")
    assert steps(live) == [
        ("received", CAUSE), ("accepted", CAUSE), ("read", OTHER), ("handed over", OTHER), ("pushed", CAUSE),
    ]  # fmt: skip
    assert steps(live, cause=OTHER) == [("read", OTHER), ("handed over", OTHER)]
    assert (steps(live, by="mallory"), steps(live, user="u2")) == ([], [])
    assert live.seen("eve", "u1", "")["hops"][1][3] == "seq=7"


async def test_what_goes_down_is_known_by_name_and_acknowledged_once(live: LiveTraces) -> None:
    live.arm("u1", "alice", "eve", 60)
    entries = [msgpack.encode({"type": "message", "seq": seq, "id": cause, "from": name})
               for seq, cause, name in ((4, CAUSE, "alice"), (5, OTHER, "carol"))]  # fmt: skip
    entries.append(msgpack.encode({"type": "receipt", "seq": 6, "peer": "alice"}))
    assert traces.tracer is not None
    traces.tracer.went_down("u9", "PHONE", entries)
    for seq in (3, 4, 6):
        traces.tracer.acknowledged("u9", "PHONE", seq)
    traces.tracer.acknowledged("u9", "TABLET", 9)
    assert steps(live) == [("delivered", CAUSE), ("acknowledged", CAUSE)]


async def test_when_the_time_is_over_nothing_is_kept_and_the_tracer_of_before_is_back(
    live: LiveTraces,
) -> None:
    sent: list[Span] = []
    before = traces.tracer = Tracer(sent.append)
    live.arm("u1", "alice", "eve", 0.05)
    live.arm("u1", "alice", "eve", 0.1)  # longer than at first
    one_step(traces.STORE, CAUSE, "u1")
    traces.tracer.span(traces.PUSH, CAUSE, 0, ("u1",))
    assert [each.step for each in sent] == ["store", "push"], "spans go on to the collector, once each"
    assert sent[0].attributes == {"seq": 7}, "without users"
    await until_found(lambda: traces.tracer, lambda tracer: tracer is before)
    assert live.seen("eve", "", "") == {"until_ms": 0, "hops": []}
    await asyncio.sleep(0)


async def test_what_is_kept_is_bounded(live: LiveTraces) -> None:
    assert all(live.arm(f"u{number}", f"n{number}", "eve", 60) for number in range(10))
    assert not live.arm("one too many", "x", "eve", 60)
    assert live.arm("u0", "n0", "eve", 60), "one that is there may go on"
    for _ in range(3_000):
        one_step(traces.STORE, CAUSE, "u0")
    assert traces.tracer is not None
    traces.tracer.went_down("u0", "D", [msgpack.encode({"seq": seq, "id": OTHER}) for seq in range(3_000)])
    [watch] = [each for (_, user), each in live._watches.items() if user == "u0"]
    assert (len(watch.hops), len(watch.down)) == (2_000, 1_000)
