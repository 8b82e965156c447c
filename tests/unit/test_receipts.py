"""What senders are told: a dropped repeat counts as the message that it repeats, delivered and read."""

from actors.user.receipts import Receipts
from storage.mailbox_rows import Conversation


def test_a_message_covers_its_dropped_repeat() -> None:
    receipts = Receipts()
    receipts.arrived("ann", 10)
    receipts.repeated("ann", 14, 0)
    delivered, read = receipts.delivered("ann", 10), receipts.read("ann", 10)
    assert delivered is not None
    assert read is not None
    assert (delivered.delivered, read.read) == (14, 14)


def test_a_repeat_covers_no_message_before_it() -> None:
    receipts = Receipts()
    receipts.arrived("ann", 10)
    receipts.arrived("ann", 12)
    receipts.repeated("ann", 14, 0)
    for upto, told in ((10, 10), (12, 14)):
        marks = receipts.read("ann", upto)
        assert marks is not None
        assert (marks.delivered, marks.read) == (told, told)


def test_a_repeat_of_what_came_before_the_activation_waits_for_the_last_message_before_it() -> None:
    receipts = Receipts()
    receipts.repeated("ann", 14, 12)
    for upto, told in ((10, 10), (12, 14)):
        marks = receipts.delivered("ann", upto)
        assert marks is not None
        assert marks.delivered == told


def test_a_repeat_dropped_before_the_activation_is_known_from_the_row() -> None:
    receipts = Receipts([Conversation("me", "ann", "ann", repeat_seq=14, repeated_upto=12)])
    for upto, told in ((10, 10), (12, 14), (20, 20)):
        marks = receipts.delivered("ann", upto)
        assert marks is not None
        assert marks.delivered == told
