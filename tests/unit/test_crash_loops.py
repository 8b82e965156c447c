"""Devices that are sent the same entry first, stream after stream."""

from actors.host.streams.crash_loops import CrashLoops

BEN = ("ben", "phone")


def test_the_same_first_entry_in_a_row_is_counted() -> None:
    first = CrashLoops()
    assert [first.sent(BEN, 7) for _ in range(3)] == [1, 2, 3]
    assert first.sent(("ann", "phone"), 7) == 1
    assert first.sent(BEN, 8) == 1
    assert first.sent(BEN, 8) == 2


def test_an_acknowledgement_that_covers_it_ends_the_row() -> None:
    first = CrashLoops()
    first.sent(BEN, 7)
    first.acked(BEN, 6)
    assert first.sent(BEN, 7) == 2
    first.acked(BEN, 7)
    assert first.sent(BEN, 7) == 1
    first.acked(("nobody", "x"), 9)


def test_memory_of_devices_is_bounded() -> None:
    first = CrashLoops(kept=2)
    for user in ("a", "b", "a", "c"):
        first.sent((user, "phone"), 1)
    assert first.sent(("a", "phone"), 1) == 3
    assert first.sent(("b", "phone"), 1) == 1
