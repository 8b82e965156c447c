"""What senders are told: a dropped repeat counts as the message that it repeats, delivered and read."""

import pytest

from actors.receipts import Receipts


@pytest.mark.parametrize("read_first", [True, False])
def test_reading_a_message_covers_its_dropped_repeat(read_first: bool) -> None:  # noqa: FBT001
    receipts = Receipts()
    receipts.arrived("ann", 10)
    receipts.delivered("ann", 10)
    if read_first:
        receipts.read("ann", 10)
        told = receipts.repeated("ann", 14, all_acked=True)
    else:
        receipts.repeated("ann", 14, all_acked=True)
        told = receipts.read("ann", 10)
    assert told is not None
    assert (told.delivered, told.read) == (14, 14)


def test_a_repeat_reads_no_message_that_was_not_read() -> None:
    receipts = Receipts()
    receipts.arrived("ann", 10)
    receipts.arrived("ann", 12)
    receipts.delivered("ann", 12)
    receipts.read("ann", 10)
    told = receipts.repeated("ann", 14, all_acked=True)
    assert told is not None
    assert (told.delivered, told.read) == (14, 10)
    assert receipts.read("ann", 11) is not None
    told = receipts.read("ann", 12)
    assert told is not None
    assert told.read == 14


def test_what_was_before_the_activation_is_not_taken_for_read() -> None:
    receipts = Receipts()
    receipts.repeated("ann", 14, all_acked=True)
    told = receipts.read("ann", 10)
    assert told is not None
    assert told.read == 10
