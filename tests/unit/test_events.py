"""Every event of a user actor says what set it off."""

from typing import get_args

import pytest

from actors.user import events as ev
from storage.records import MessageRecord, ReceiptRecord
from tests.unit.mailbox_world import ME

MESSAGE = MessageRecord("me", "0190-id", "ann", "ann", "DA", 0, 0, "s", {})
RECEIPT = ReceiptRecord("me", "", "ann", "ann", 7, 7, 5)

CAUSES = [
    (ev.RecordArrived(9, MESSAGE, b""), "0190-id"),
    (ev.RecordArrived(9, RECEIPT, b""), "record 9"),
    (ev.StreamAttached(3, "P", None, 0, background=False, resume=False), "stream 3"),
    (ev.StreamDetached(3), "stream 3"),
    (ev.Acked("P", 9, 3), "stream 3"),
    (ev.Acked("P", 9, None, ("g0", 4)), "call ('g0', 4)"),
    (ev.ReadMarked("ann", "ann", 9, "t"), "call t"),
    (ev.TypingHeard("ann", "ann", "typing"), "typing of ann"),
    (ev.PageRead(3, (), 9, gone=0), "stream 3"),
    (ev.PageRead("t", (), 9, gone=0), "call t"),
    (ev.SyncAsked("t", "P", None, 10, 0), "call t"),
    (ev.AskerGone("t"), "call t"),
    (ev.BlockAsked("t", "ann", "ann", blocked=True), "call t"),
    (ev.ContactMade("t", "ann", "ann"), "call t"),
    (ev.Watched("ann"), "watcher ann"),
    (ev.Unwatched("ann"), "watcher ann"),
    (ev.PresenceAsked("t", "ann"), "call t"),
    (ev.MarksAsked("t", "ann"), "call t"),
    (ev.RoomAsked("t", "ann"), "call t"),
    (ev.TimePassed(), "timer"),
    (ev.Refreshed("t", ME, ()), "call t"),
]


@pytest.mark.parametrize(("event", "cause"), CAUSES)
def test_an_event_names_its_cause(event: ev.Event, cause: str) -> None:
    assert event.cause == cause


def test_no_event_is_without_a_cause() -> None:
    assert {type(event) for event, _ in CAUSES} == set(get_args(ev.Event))
