"""The set of ended sessions: what it holds, and that it does not grow."""

import asyncio
from typing import Any, cast

import pytest

from api.identity import cache_invalidation
from api.identity.revocation import Revocations
from roost.errors import RoostError

KEPT_MS = 660_000


class Time:
    now = 1_795_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def revocations(time: Time) -> Revocations:
    return Revocations(cast("Any", None), time, KEPT_MS)  # adding asks no store


@pytest.mark.attack(
    "use the access token of a session that was ended",
    "gateways know ended sessions as long as their tokens live",
)
def test_an_ended_session_is_told_once(revocations: Revocations) -> None:
    told: list[str] = []
    revocations.listen(told.append)
    revocations.add("one")
    revocations.add("one")
    assert told == ["one"]
    with pytest.raises(RoostError, match="has ended"):
        revocations.check("one")
    revocations.check("another")


def test_it_is_kept_as_long_as_a_token_of_it_may_live(revocations: Revocations, time: Time) -> None:
    revocations.add("one")
    time.now += KEPT_MS
    revocations.add("two")
    assert revocations.ended("one")
    time.now += 1
    revocations.add("three")
    assert not revocations.ended("one")
    assert revocations.ended("two")


def test_it_does_not_grow_while_sessions_end_one_after_the_other(
    revocations: Revocations, time: Time
) -> None:
    for number in range(5_000):
        time.now += 1_000
        revocations.add(f"family-{number}")
    assert len(revocations) == KEPT_MS // 1_000 + 1


def test_a_lost_pulse_is_noticed_within_the_second_that_is_promised() -> None:
    assert cache_invalidation._PULSE_S + cache_invalidation._ECHO_S < 1.0


@pytest.mark.attack("revoked-while-a-call-waits")
async def test_what_waits_is_cut_short_when_its_session_ends(revocations: Revocations) -> None:
    order: list[str] = []

    async def wait(family: str) -> None:
        async with revocations.unless_ended(family):
            await asyncio.sleep(60)

    async def told(family: str) -> None:
        with pytest.raises(RoostError, match="has ended"):
            await wait(family)
        order.append(family)

    async with asyncio.timeout(5):
        both = [asyncio.create_task(told("one")) for _ in range(2)]
        other = asyncio.create_task(wait("another"))
        await asyncio.sleep(0)
        revocations.add("one")
        await asyncio.gather(*both)
    assert order == ["one", "one"]
    assert not other.done()
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    with pytest.raises(RoostError, match="has ended"):
        await wait("one")


async def test_a_time_out_of_the_work_itself_stays_one(revocations: Revocations) -> None:
    with pytest.raises(TimeoutError):
        async with revocations.unless_ended("one"):
            raise TimeoutError
