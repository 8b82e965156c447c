"""Which entries of a mailbox a sweep may delete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.host.upkeep.sweep_rules import Acknowledged, Keep, acknowledged, first_to_stay, may_be_old
from roost.ids import SEQ_LIMIT
from storage.account_rows import Device, TokenFamily
from storage.mailbox_rows import MailboxDocument

NOW = 1_000_000
NEVER = Keep(entry_ms=0, delivered_ms=0, messages=0, size=0, device_ms=1_000)
EVERYTHING = Acknowledged(SEQ_LIMIT, SEQ_LIMIT)


def entry(seq: int, at_ms: int = 0) -> MailboxDocument:
    """Return the seq-th message; each weighs 10 bytes."""
    return MailboxDocument("me", seq, seq - 1, "m", "bob", "B", f"id{seq}", at_ms, b"", "", seq, 10 * seq)


def keep(**changes: int) -> Keep:
    fields = {"entry_ms": 0, "delivered_ms": 0, "messages": 0, "size": 0, "device_ms": 1_000} | changes
    return Keep(**fields)


def device(name: str, created_at_ms: int = 0) -> Device:
    return Device("me", name, "", created_at_ms, from_seq=1)


def session(name: str, used_at_ms: int) -> TokenFamily:
    return TokenFamily(f"family of {name}", "me", name, b"", None, 0, used_at_ms, 0)


ENTRIES = [entry(seq, NOW - 1_000 + 100 * seq) for seq in range(1, 6)]


@pytest.mark.parametrize(
    ("limits", "stays"),
    [
        (keep(), 1),
        (keep(entry_ms=650), 4),
        (keep(entry_ms=1), 5),
        (keep(messages=2), 4),
        (keep(messages=100), 1),
        (keep(size=30), 3),
        (keep(delivered_ms=650), 4),
        (keep(entry_ms=850, messages=2), 4),
    ],
)
def test_the_oldest_go_and_the_newest_stays(limits: Keep, stays: int) -> None:
    assert first_to_stay(ENTRIES, ENTRIES[-1], EVERYTHING, limits, NOW) == stays
    assert may_be_old(ENTRIES[0], ENTRIES[-1], limits, NOW) is (stays > 1)


@pytest.mark.parametrize("limits", [keep(entry_ms=1), keep(messages=1), keep(size=1), keep(delivered_ms=1)])
def test_what_a_device_in_use_has_not_acknowledged_stays_whatever_its_age(limits: Keep) -> None:
    assert first_to_stay(ENTRIES, ENTRIES[-1], Acknowledged(2, 2), limits, NOW) == 3


def test_without_a_device_in_use_nothing_counts_as_delivered() -> None:
    none = acknowledged([], [], {}, NEVER, NOW)
    assert first_to_stay(ENTRIES, ENTRIES[-1], none, keep(delivered_ms=1), NOW) == 1
    assert first_to_stay(ENTRIES, ENTRIES[-1], none, keep(entry_ms=1), NOW) == 5


def test_a_device_is_in_use_as_long_as_its_session_is() -> None:
    devices, cursors = [device("phone"), device("tablet")], {"phone": 40, "tablet": 7}
    sessions = [session("phone", NOW), session("tablet", NOW - 999)]
    assert acknowledged(devices, sessions, cursors, NEVER, NOW).upto == 7
    sessions = [session("phone", NOW), session("tablet", NOW - 1_000)]
    assert acknowledged(devices, sessions, cursors, NEVER, NOW).upto == 40
    assert acknowledged(devices, sessions[1:], cursors, NEVER, NOW) == Acknowledged(SEQ_LIMIT, 0)


def test_a_new_device_that_has_acknowledged_nothing_holds_all_that_came_since() -> None:
    found = acknowledged([device("new", NOW - 10)], [], {}, NEVER, NOW)
    assert found.upto == 1


@given(
    st.lists(st.integers(0, NOW), min_size=1, max_size=8),
    st.integers(0, 9),
    st.integers(0, 2_000),
    st.integers(0, 9),
)
def test_nothing_goes_that_must_stay(ages: list[int], upto: int, age_ms: int, messages: int) -> None:
    entries = [entry(seq, NOW - age) for seq, age in enumerate(sorted(ages, reverse=True), 1)]
    limits = keep(entry_ms=age_ms, messages=messages)
    stays = first_to_stay(entries, entries[-1], Acknowledged(upto, upto), limits, NOW)
    gone = [each for each in entries if each.seq < stays]
    assert entries[-1] not in gone
    assert all(each.seq <= upto for each in gone)
    for each in gone:
        beyond = 0 < messages <= len(entries) - each.seq
        assert beyond or 0 < age_ms <= NOW - each.at_ms
