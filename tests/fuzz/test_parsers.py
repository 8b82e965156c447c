"""Seconds of what `make fuzz` does for hours: what broke a parser once, and mutations of good input."""

import random

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.targets import BREAKERS, TARGETS

RUNS = 300


@pytest.mark.attack(
    "break a parser of bytes from outside: {row}", "typed decoders, bounds, and one refusal for the rest"
)
@pytest.mark.parametrize(
    "name",
    [
        "frames_json", "frames_msgpack", "link_handshake", "link_frames", "log_records", "access_token",
        "message_content", "refresh_token", "uploaded_keys", "payload", "sealed_field", "cursor", "names",
        "forwarded", "byte_range", "tus_heads", "push_subscription",
    ],
)  # fmt: skip
def test_whatever_comes_is_refused_in_the_parsers_own_way(name: str) -> None:
    take, seeds = TARGETS[name]
    for data in (*BREAKERS, *seeds):
        take(data)
    luck = random.Random(name)
    for _ in range(RUNS):
        take(mutated(luck.choice(seeds), luck))


def test_every_target_is_tried() -> None:
    (rows,) = (
        mark.args[1]
        for mark in test_whatever_comes_is_refused_in_the_parsers_own_way.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert set(rows) == TARGETS.keys()
