"""The set of ended sessions: what it holds, and that it does not grow."""

from typing import Any, cast

import pytest

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
