"""How many bytes a device may send, to one user, and to a user from all."""

from time import monotonic
from typing import Any, cast

import pytest

from api.identity.limits import Limit, Limits
from api.identity.tokens import Principal
from api.sending.admission import Admission
from api.sending.gate import Gate
from api.sending.send_request import SendRequest
from roost import wire
from roost.clock import Clock
from roost.wire import MAX_PAYLOAD

SIZE = 60_000


class Sequencer:
    shards = 0


def gate(clock: Clock = int, **limits: Limit) -> Gate:
    """Return a gate with the limits that it has anyway, but for these."""
    made = Gate(
        Admission(), cast("Any", Sequencer()), cast("Any", None), Limits(cast("Any", None), clock, limits)
    )
    made._arm = lambda: None  # type: ignore[method-assign]  # there is no loop for its timer
    return made


def admitted(to: Gate, *sends: tuple[str, str], after_s: float = 0.0, size: int = SIZE) -> list[str]:
    """Return what became of messages, each from a device to a user."""
    became = []
    for number, (device, user) in enumerate(sends):
        frame = wire.Send(str(number), user, 0, "sealed.v1", {"D": bytes(size)})
        principal = Principal(device[:-1], device[:-1], device, "f", 2**60, ())
        item = SendRequest(principal, frame, lambda _: None)
        item.arrived_s = monotonic() + after_s
        refused = to.let_in(item)
        if refused is None:
            to.admission.left(device, item.size)
        became.append("in" if refused is None else refused.code.word)
    return became


@pytest.mark.attack(
    "put 500 messages of 60 kB into one mailbox in a second", "a limiter of bytes for each pair of users"
)
def test_one_user_puts_so_many_bytes_into_anothers_mailbox() -> None:
    became = admitted(gate(), *[("alice1", "bob")] * 500)
    assert became.count("in") * SIZE < 17 * 1024 * 1024
    assert set(became) == {"in", "rate_limited"}


@pytest.mark.attack("go round a limiter by {row}", "bytes are counted by device, by pair, and by recipient")
@pytest.mark.parametrize(
    ("limiter", "sends"),
    [
        ("bytes_by_pair", [("alice1", "bob"), ("alice2", "bob"), ("alice3", "BOB")]),
        ("bytes_by_device", [("alice1", "bob"), ("alice1", "carol"), ("alice1", "dave")]),
        ("bytes_to_user", [("alice1", "bob"), ("carol1", "Bob"), ("dave1", "bob")]),
    ],
    ids=["using several devices", "writing to many", "using many accounts"],
)
def test_each_way_is_counted(limiter: str, sends: list[tuple[str, str]]) -> None:
    narrow = gate(**{limiter: Limit(1.0, 2 * SIZE + 2_000, "local")})
    assert admitted(narrow, *sends) == ["in", "in", "rate_limited"]


def test_a_device_that_was_told_to_wait_costs_nothing_until_then() -> None:
    passed_ms = [0]
    narrow = gate(lambda: passed_ms[0], bytes_by_pair=Limit(SIZE + 512.0, SIZE + 1_000, "local"))
    assert admitted(narrow, ("alice1", "bob"), ("alice1", "bob")) == ["in", "rate_limited"]
    passed_ms[0] = 100
    assert set(admitted(narrow, *[("alice1", "bob")] * 50, after_s=0.1)) == {"rate_limited"}
    passed_ms[0] = 3_000
    assert admitted(narrow, ("alice1", "bob"), after_s=3.0) == ["in"]


def test_small_messages_count_what_they_cost() -> None:
    narrow = gate(bytes_by_device=Limit(1.0, 3 * 512 + 10, "local"))
    assert admitted(narrow, *[("alice1", "bob")] * 4, size=1) == ["in"] * 3 + ["rate_limited"]


def test_the_largest_message_fits_into_every_burst() -> None:
    largest = [("alice1", "bob")]
    assert admitted(gate(), *largest, size=20 * MAX_PAYLOAD) == ["in"]
