"""One send request: its validation, its identity, and the records made of it. Pure."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from api.identity.directory import Person
from api.identity.tokens import Principal
from roost import wire
from roost.errors import RoostError
from roost.ids import MESSAGE_ID_AHEAD_MS, MESSAGE_ID_WINDOW_MS, SEQ_LIMIT, fold_username, uuid7_ms
from storage.mailbox_rows import MailboxDocument, Stub, copies_digest, digest_of
from storage.ports import Accepted
from storage.records import MessageRecord, SentRecord, decode_record, encode_record

_SUITE_MAX: Final = 32
_NAME_MAX: Final = 64
_BESIDES: Final = 512
_MISMATCH: Final = (
    "Encrypt once for each device of the recipient, and other of your own; query their keys again."
)

Outcome = Accepted | RoostError


class SentIds(Struct, eq=False):
    """What is known of the ids that a stream's device sent before.

    Attributes:
        greatest: None before the first look into Redis.
    """

    greatest: str | None = None


class SendRequest(Struct, eq=False):
    """One send in progress; ``reply`` is called exactly once, and ``leave`` before it.

    Attributes:
        refused: It was not accepted through no fault of its own: what came behind it must not be either.
        person: The recipient, once looked up.
        me: The sender, likewise, if own copies are given.
        size: Bytes that it takes here.
        copies: `copies_digest` of the own copies.
        untimely: Its id is refused for its time, unless the message is known, and its copies are still owed.
        ids: Its stream's; None if it came over HTTP.
    """

    principal: Principal
    frame: wire.Send
    reply: Callable[[Outcome], None]
    digest: bytes = b""
    made_ms: int = 0
    untimely: bool = False
    person: Person | None = None
    me: Person | None = None
    answered: bool = False
    arrived_s: float = 0.0
    leave: Callable[["SendRequest"], None] | None = None
    refused: bool = False
    size: int = 0
    copies: bytes = b""
    ids: SentIds | None = None

    def __post_init__(self) -> None:
        """Count its bytes: of its payloads, and what it takes besides."""
        self.size = _BESIDES + sum(map(len, self.frame.payloads.values()))
        if self.frame.own:
            self.size += sum(map(len, self.frame.own.values()))

    @property
    def to_self(self) -> bool:
        """Whether it is to other devices of the sender: control messages, and notes."""
        return self.frame.to == self.principal.username

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the message: sender's device and id."""
        return self.principal.device, self.frame.id

    def answer(self, outcome: Outcome) -> None:
        """Answer, once."""
        if not self.answered:
            self.answered = True
            self.refused = isinstance(outcome, RoostError) and outcome.code.retry == "later"
            # A full mailbox is its owner's: what the device sends to others does not wait for it.
            self.refused = self.refused and outcome.code.word != "mailbox_full"  # type: ignore[union-attr]
            if self.leave is not None:
                self.leave(self)
            self.reply(outcome)


def check(item: SendRequest, now_ms: int) -> bool:
    """Refuse what no look-up could mend; folds the recipient's name and computes the digest."""
    try:
        item.made_ms = _check_form(item.frame)
        item.untimely = not now_ms - MESSAGE_ID_WINDOW_MS <= item.made_ms <= now_ms + MESSAGE_ID_AHEAD_MS
        if item.untimely and not item.frame.own:
            raise id_expired()
        item.frame.to = fold_username(item.frame.to)
        frame = item.frame
        item.copies = copies_digest(frame.own)
        item.digest = digest_of(frame.to, frame.suite, frame.payloads, item.copies, silent=frame.silent)
    except RoostError as exc:
        item.answer(exc)
    except ValueError:
        item.answer(RoostError("unknown_user", f"There is no user {item.frame.to[:64]!r}."))
    return not item.answered


def id_expired() -> RoostError:
    """Return what an id is refused with for its time."""
    return RoostError(
        "id_expired", "The time in the id is more than 7 days in the past or 5 minutes in the future."
    )


def _check_form(frame: wire.Send) -> int:
    """Return the id's time."""
    try:
        made = uuid7_ms(frame.id)
    except ValueError as exc:
        raise RoostError("invalid", f"id: {exc}.") from exc
    if not 0 < len(frame.suite) <= _SUITE_MAX:
        raise RoostError("invalid", f"suite must have 1 to {_SUITE_MAX} characters.")
    if not 0 <= frame.sent_at_ms < SEQ_LIMIT:
        raise RoostError("invalid", "sent_at_ms must be in Unix milliseconds.")
    if frame.expires_in_s is not None and not 0 < frame.expires_in_s <= wire.MAX_EXPIRY_S:
        raise RoostError("invalid", "expires_in_s must be between 1 and 2,419,200 seconds.")
    _check_payloads("payloads", frame.payloads)
    if frame.own:
        _check_payloads("own", frame.own)
    return made


def _check_payloads(member: str, payloads: dict[str, bytes]) -> None:
    if len(payloads) > wire.MAX_DEVICES:
        raise RoostError("too_large", f"{member}: a message may have at most {wire.MAX_DEVICES} payloads.")
    for device, payload in payloads.items():
        if len(device) > _NAME_MAX:
            raise RoostError("invalid", f"{member}: a device id may have at most {_NAME_MAX} characters.")
        if len(payload) > wire.MAX_PAYLOAD:
            raise RoostError("too_large", f"{member}: a payload may be at most {wire.MAX_PAYLOAD} bytes.")


def matches_devices(item: SendRequest) -> bool:
    """Refuse what is not encrypted for exactly the devices that it is for; who they belong to is looked up.

    Those are the recipient's and, if own copies are given, the sender's others. A message to oneself is for
    the sender's others only, and has no copies.
    """
    assert item.person is not None  # noqa: S101 -- looked up before
    keyed = item.person.keyed - {item.principal.device} if item.to_self else item.person.keyed
    named = item.frame.payloads.keys()
    if named == keyed and named and _copies_match(item):
        return True
    mismatch: dict[str, Any] = {"missing": sorted(keyed - named), "extra": sorted(named - keyed)}
    detail = _MISMATCH
    if not keyed:
        detail = "The recipient has not uploaded keys yet."
        if item.to_self:
            detail = "You have no other device that has keys, to which this could be sent."
    item.answer(RoostError("device_mismatch", detail, **mismatch, **_own_mismatch(item)))
    return False


def matches_own_devices(item: SendRequest) -> bool:
    """Refuse own copies that are not for exactly the sender's other devices; who it is is looked up."""
    if _copies_match(item):
        return True
    item.answer(RoostError("device_mismatch", _MISMATCH, missing=[], extra=[], **_own_mismatch(item)))
    return False


def _copies_match(item: SendRequest) -> bool:
    own = item.frame.own
    return own is None or own.keys() == _others(item)


def _own_mismatch(item: SendRequest) -> dict[str, Any]:
    """Return which devices own copies lack, and which they are for in vain; nothing without copies."""
    own, others = item.frame.own, _others(item)
    if own is None:
        return {}
    return {"own_missing": sorted(others - own.keys()), "own_extra": sorted(own.keys() - others)}


def _others(item: SendRequest) -> frozenset[str]:
    """Return the sender's other devices, where copies for them may come along."""
    return frozenset() if item.me is None or item.to_self else item.me.keyed - {item.principal.device}


def record_of(item: SendRequest, now_ms: int, version: int) -> bytes:
    """Return the record for the recipient's mailbox, encoded; the recipient is looked up."""
    frame, principal, person = item.frame, item.principal, item.person
    assert person is not None  # noqa: S101 -- looked up before
    return encode_record(
        MessageRecord(
            to=person.user,
            cause=frame.id,
            sender=principal.user,
            sender_name=principal.username,
            sender_device=principal.device,
            sent_at_ms=frame.sent_at_ms,
            accepted_at_ms=now_ms,
            suite=frame.suite,
            payloads=frame.payloads,
            urgent=frame.urgent and not frame.silent,
            expires_at_ms=_expires_at_ms(frame, now_ms),
            version=version,
            silent=frame.silent,
            own=item.copies,
        )
    )


def _expires_at_ms(frame: wire.Send, accepted_at_ms: int) -> int | None:
    return None if frame.expires_in_s is None else accepted_at_ms + frame.expires_in_s * 1000


def copy_of(item: SendRequest, answer: Accepted, version: int) -> bytes:
    """Return the record that tells the sender's other devices, encoded."""
    frame, principal, person = item.frame, item.principal, item.person
    assert person is not None  # noqa: S101 -- looked up before
    return encode_record(
        SentRecord(
            to=principal.user,
            cause=frame.id,
            device=principal.device,
            peer=person.user,
            peer_name=person.username,
            peer_seq=answer.seq,
            sent_at_ms=frame.sent_at_ms,
            at_ms=answer.accepted_at_ms,
            version=version,
            expires_at_ms=_expires_at_ms(frame, answer.accepted_at_ms),
            suite=frame.suite if frame.own else "",
            payloads=frame.own or {},
            silent=frame.silent,
        )
    )


def answer_of(document: MailboxDocument | Stub, to: str) -> Accepted | None:
    """Return what the sender of a stored message was answered; None if it is no message.

    One that has expired, and lost its content, has no digest: whoever sends its id again has sent it.
    """
    if isinstance(document, Stub):
        return Accepted(to, document.seq, document.accepted_at_ms, document.digest)
    record = decode_record(document.record)
    if not isinstance(record, MessageRecord):
        return None
    emptied = record.expires_at_ms is not None and not any(record.payloads.values())
    digest = digest_of(to, record.suite, record.payloads, record.own, silent=record.silent)
    return Accepted(to, document.seq, record.accepted_at_ms, b"" if emptied else digest)


def had_copies(document: MailboxDocument | Stub | None) -> bool:
    """Return whether a stored message came with copies for the sender's other devices, or may have."""
    if not isinstance(document, MailboxDocument):
        return document is not None
    record = decode_record(document.record)
    return isinstance(record, MessageRecord) and record.own != b""
