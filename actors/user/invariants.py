"""Executable invariants: conditions that hold of a user actor between any two events.

Each part has a ``check`` of its own, which raises `InvariantError` with a sentence. Here is what concerns
several parts, or the past: numbers that never fall. Tests and deterministic runs check after every event; a
host does not.
"""

from typing import NamedTuple

from actors.user.delivery_marks import DeliveryMarks
from actors.user.devices import Devices
from actors.user.errors import InvariantError
from actors.user.head import Head
from actors.user.mailbox import Mailbox
from actors.user.peers import Peers
from actors.user.presence import Presence
from actors.user.quota import Quota
from actors.user.repeats import Repeats
from storage.mailbox_rows import Conversation
from storage.records import MessageRecord

_OF_ROW = (
    "delivered_seq", "read_seq", "my_read_seq", "receipt_seq", "repeat_seq", "repeated_upto",
    "contact", "heard", "strange", "strange_size", "cleared", "cleared_size",
)  # fmt: skip


class Parts(NamedTuple):
    """What a user actor is made of."""

    head: Head
    devices: Devices
    peers: Peers
    mailbox: Mailbox
    marks: DeliveryMarks
    repeats: Repeats
    presence: Presence
    quota: Quota


class Past:
    """What an actor had reached at the last check.

    Attributes:
        numbers: By what is counted, of whom, and the object that counts: a device that is removed and comes
            again counts again.
        rows: The conversations.
    """

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, object, object], int] = {}
        self.rows: dict[str, Conversation] = {}


def check(actor: Parts, past: Past) -> None:
    """Check an actor, and remember the numbers that may not fall until the next check.

    Raises:
        InvariantError: Something does not hold; the message says what.
    """
    actor.head.check()
    actor.devices.check()
    actor.peers.check()
    actor.mailbox.check()
    actor.marks.check()
    actor.quota.check()
    _check_repeats(actor)
    _check_presence(actor)
    _check_numbers(actor, past)
    _check_rows(actor, past)


def _check_numbers(actor: Parts, past: Past) -> None:
    """Nothing falls, and no device acknowledges what does not exist yet."""
    before, handled = past.numbers, actor.head.handled
    past.numbers = numbers = _numbers(actor)
    if numbers == before:
        return
    for key, number in numbers.items():
        seen = before.get(key, number)
        if number < seen:
            raise InvariantError(f"The {key[0]} of {key[1]} fell from {seen} to {number}.")
        if key[0] == "cursor" and seen < number and number > handled:
            raise InvariantError(f"{key[1]} has acknowledged {number}, and only {handled} was handled.")


def _numbers(actor: Parts) -> dict[tuple[str, object, object], int]:
    head = actor.head
    numbers: dict[tuple[str, object, object], int] = {
        ("evicted", "the head", None): head.evicted,
        ("handled", "the head", None): head.handled,
        ("tail", "the head", None): head.tail,
    }
    for device, state in actor.devices.items():
        numbers["cursor", device, state] = state.cursor
        numbers["floor", device, state] = state.floor
    for number, stream in actor.mailbox.streams.items():
        numbers["position", number, stream] = stream.position
        numbers["last entry", number, stream] = stream.sent
    for sender, marks in actor.marks.told.items():
        numbers["delivered mark", sender, None] = marks.delivered
        numbers["read mark", sender, None] = marks.read
    return numbers


def _check_rows(actor: Parts, past: Past) -> None:
    """No watermark of a conversation falls. A row is replaced when it changes."""
    for peer, row in actor.peers.rows.items():
        before = past.rows.get(peer, row)
        if before is row:
            continue
        for name in _OF_ROW:
            if getattr(row, name) < getattr(before, name):
                raise InvariantError(f"The {name} of {peer} fell: {before} became {row}.")
    past.rows = actor.peers.rows.copy()


def _check_repeats(actor: Parts) -> None:
    """A message that this actor made an entry is never taken for new."""
    for item in actor.head.after(actor.head.loaded_at):
        record = item.record
        if not isinstance(record, MessageRecord):
            continue
        if actor.repeats.is_repeat(record.source, record.cause) is False:
            raise InvariantError(f"Message {record.cause} is entry {item.seq}, and would be taken for new.")


def _check_presence(actor: Parts) -> None:
    """A user is online with a stream in the foreground, and for a moment after the last."""
    presence, in_foreground = actor.presence, actor.mailbox.in_foreground
    leaving = presence.offline_at_ms is not None
    if in_foreground and (leaving or not presence.online):
        raise InvariantError("A stream is in the foreground, and the user is offline or about to be.")
    if not in_foreground and presence.online and not leaving:
        raise InvariantError("No stream is in the foreground, and the user stays online.")
