"""Bodies of the calls about messages, mailboxes and conversations."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_ID, Millis, Object, Seq, model


class NewMessage(BaseModel):
    """A message: one ciphertext for each of the recipient's devices.

    `own` has one for each other device of the sender that has keys; without it they are only told that
    something was sent. `silent` is a control message: no push, not counted as unread. To oneself, `payloads`
    are for one's other devices.
    """

    model_config = model(
        id=EXAMPLE_ID,
        to="bob",
        sent_at_ms=1_795_000_000_000,
        suite="sealed.v1",
        payloads={EXAMPLE_DEVICE: "yv66vg"},
        urgent=True,
    )
    id: Annotated[str, StringConstraints(max_length=64)]
    to: Annotated[str, StringConstraints(max_length=64)]
    sent_at_ms: Millis
    suite: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    payloads: dict[str, str]
    urgent: bool = True
    expires_in_s: Annotated[int, Field(ge=1, le=2_419_200)] | None = None
    own: dict[str, str] | None = None
    silent: bool = False


class AcceptedMessage(BaseModel):
    """The message is durable; `seq` is its position in the recipient's mailbox."""

    model_config = model(id=EXAMPLE_ID, seq=4_294_967_301, accepted_at_ms=1_795_000_000_000)
    id: str
    seq: Seq
    accepted_at_ms: Millis


class MessageState(BaseModel):
    """The sender's view of a message."""

    model_config = model(
        id=EXAMPLE_ID, to="bob", seq=4_294_967_301, state="delivered", accepted_at_ms=1, delivered_at_ms=2
    )
    id: str
    to: str
    seq: Seq
    state: Literal["accepted", "stored", "delivered", "read"]
    accepted_at_ms: Millis
    delivered_at_ms: Millis | None = None
    read_at_ms: Millis | None = None


class Page(BaseModel):
    """Mailbox entries in `seq` order, and what is left of this device's keys (as of half a minute ago)."""

    model_config = model(
        cursor=4_294_967_301,
        entries=[
            {
                "type": "message",
                "seq": 4_294_967_301,
                "prev": 4_294_967_298,
                "at_ms": 1_795_000_000_000,
                "id": EXAMPLE_ID,
                "from": "alice",
                "from_device": EXAMPLE_DEVICE,
                "sent_at_ms": 1_795_000_000_000,
                "accepted_at_ms": 1_795_000_000_000,
                "suite": "sealed.v1",
                "payload": "yv66vg",
            }
        ],
        more=False,
        missed=False,
        one_time_key_counts={"signed_curve25519": 50},
        unused_fallback_key_types=["signed_curve25519"],
    )
    cursor: Seq
    entries: list[Object]
    more: bool
    missed: bool
    one_time_key_counts: dict[str, int] | None = None
    unused_fallback_key_types: list[str] | None = None


class UpTo(BaseModel):
    """A position up to which everything is meant."""

    model_config = model(seq=4_294_967_301)
    seq: Seq


class ReadUpTo(BaseModel):
    """A position up to which everything from `peer` is meant."""

    model_config = model(peer="alice", seq=4_294_967_301)
    peer: Annotated[str, StringConstraints(max_length=64)]
    seq: Seq


class TypingTo(BaseModel):
    """Whether the caller is typing to `peer`."""

    model_config = model(peer="bob", state="typing")
    peer: Annotated[str, StringConstraints(max_length=64)]
    state: Literal["typing", "paused"]


class ConversationInfo(BaseModel):
    """One conversation; the peer's watermarks are positions in the peer's mailbox."""

    peer: str
    last_seq: int
    unread: int
    delivered_seq: int
    read_seq: int
    at_ms: int


class ConversationList(BaseModel):
    """All conversations, newest first."""

    conversations: list[ConversationInfo]


class History(BaseModel):
    """Messages of a conversation, newest first."""

    messages: list[Object]
    more: bool
