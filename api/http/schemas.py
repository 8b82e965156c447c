"""Bodies of requests and answers, with an example each. Unknown fields are ignored; types are strict."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Seq = Annotated[int, Field(ge=0, lt=2**53, examples=[4_294_967_301])]
Millis = Annotated[int, Field(ge=0, lt=2**53, examples=[1_795_000_000_000])]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Password = Annotated[str, StringConstraints(min_length=8, max_length=1024)]
Address = Annotated[str, StringConstraints(min_length=3, max_length=320)]
Object = dict[str, Any]

_ID = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"
_USER = "8d5f4b8e-2a7c-4c56-9f0a-0c7b1e2d3f4a"
_DEVICE = "JLAFKJWSCS"
_PASSWORD = "correct horse battery"  # noqa: S105 -- an example


def _model(**example: Any) -> ConfigDict:
    return ConfigDict(strict=True, extra="ignore", json_schema_extra={"examples": [example]})


class Problem(BaseModel):
    """An error in the form of RFC 9457; `code` is the stable word to act on."""

    model_config = _model(
        type="urn:roost:problem:unknown_user",
        title="There is no such user.",
        status=404,
        code="unknown_user",
        detail="There is no user 'bbo'.",
        request_id="5c1f0e8a9b7d4c3f",
    )
    type: str
    title: str
    status: int
    code: str
    detail: str
    retry_after_s: float | None = None
    request_id: str


class NewAccount(BaseModel):
    """A new account."""

    model_config = _model(username="alice", password=_PASSWORD, display_name="Alice")
    username: Annotated[str, StringConstraints(max_length=64)]
    password: Password
    display_name: Annotated[str, StringConstraints(max_length=100)] | None = None
    phone: Annotated[str, StringConstraints(max_length=32)] | None = None
    email: Annotated[str, StringConstraints(max_length=254)] | None = None


class Account(BaseModel):
    """An account."""

    model_config = _model(user_id=_USER, username="alice")
    user_id: str
    username: str


class NewDevice(BaseModel):
    """A new device."""

    model_config = _model(name="Alice's phone")
    name: Annotated[str, StringConstraints(max_length=100)] = ""


class LogIn(BaseModel):
    """A log-in with a new `device`, or with a known one by its `device_id`."""

    model_config = _model(username="alice", password=_PASSWORD, device={"name": "phone"})
    username: Annotated[str, StringConstraints(max_length=64)]
    password: Annotated[str, StringConstraints(max_length=1024)]
    device: NewDevice | None = None
    device_id: Annotated[str, StringConstraints(max_length=64)] | None = None


class RefreshRequest(BaseModel):
    """A request for new tokens."""

    model_config = _model(refresh_token="rr1.6e0a.sZk3")  # noqa: S106 -- an example
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Granted(BaseModel):
    """The tokens of a session."""

    model_config = _model(
        access_token="eyJ...",  # noqa: S106 -- an example
        token_type="Bearer",  # noqa: S106 -- its fixed value
        expires_in=600,
        refresh_token="rr1.6e0a.sZk3",  # noqa: S106 -- an example
        user_id=_USER,
        username="alice",
        device_id=_DEVICE,
    )
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    user_id: str
    username: str
    device_id: str


class Profile(BaseModel):
    """Profile and settings."""

    model_config = _model(
        user_id=_USER,
        username="alice",
        device_id=_DEVICE,
        display_name="Alice",
        last_seen="contacts",
        read_receipts=True,
        created_at_ms=1_795_000_000_000,
    )
    user_id: str
    username: str
    device_id: str
    display_name: str
    last_seen: Literal["everyone", "contacts", "nobody"]
    read_receipts: bool
    created_at_ms: Millis
    phone: str | None = None
    email: str | None = None


class ProfileChange(BaseModel):
    """Fields to change; omitted fields are left unchanged."""

    model_config = _model(display_name="Alice L.", last_seen="contacts")
    display_name: Annotated[str, StringConstraints(max_length=100)] | None = None
    last_seen: Literal["everyone", "contacts", "nobody"] | None = None
    read_receipts: bool | None = None


class DeviceInfo(BaseModel):
    """One of the caller's devices."""

    model_config = _model(
        device_id=_DEVICE,
        name="phone",
        created_at_ms=1_795_000_000_000,
        has_keys=True,
        push=True,
        current=True,
    )
    device_id: str
    name: str
    created_at_ms: Millis
    has_keys: bool
    push: bool
    current: bool


class DeviceList(BaseModel):
    """The caller's devices."""

    devices: list[DeviceInfo]


class PushToken(BaseModel):
    """How to wake this device."""

    model_config = _model(provider="fcm", token="dQw4w9WgXcQ:APA91b")  # noqa: S106 -- an example
    provider: Literal["fcm"]
    token: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class KeysUpload(BaseModel):
    """Keys of this device, in the Matrix format; every signature is checked."""

    model_config = _model(
        one_time_keys={
            "signed_curve25519:AAAAHg": {
                "key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs",
                "signatures": {
                    "@alice:example.org": {"ed25519:JLAFKJWSCS": "FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBq"}
                },
            }
        }
    )
    device_keys: Object | None = None
    one_time_keys: dict[Name, Object] | None = None
    fallback_keys: dict[Name, Object] | None = None


class KeyCounts(BaseModel):
    """Unclaimed one-time keys by algorithm."""

    model_config = _model(one_time_key_counts={"signed_curve25519": 50})
    one_time_key_counts: dict[str, int]


class KeysQuery(BaseModel):
    """Device keys wanted, by address; an empty list means all devices."""

    model_config = _model(device_keys={"@bob:example.org": []})
    device_keys: dict[Address, list[str]]


class KeysFound(BaseModel):
    """Device keys by address and device; servers that cannot be asked are in `failures`."""

    device_keys: dict[str, dict[str, Object]]
    failures: dict[str, Object]


class KeysClaim(BaseModel):
    """One key for each named device."""

    model_config = _model(one_time_keys={"@bob:example.org": {_DEVICE: "signed_curve25519"}})
    one_time_keys: dict[Address, dict[str, Literal["signed_curve25519"]]]


class KeysClaimed(BaseModel):
    """The claimed keys. A one-time key is given out once only, a fallback key repeatedly."""

    one_time_keys: dict[str, dict[str, Object]]
    failures: dict[str, Object]


class NewMessage(BaseModel):
    """A message: one ciphertext for each of the recipient's devices."""

    model_config = _model(
        id=_ID,
        to="bob",
        sent_at_ms=1_795_000_000_000,
        suite="sealed.v1",
        payloads={_DEVICE: "yv66vg"},
        urgent=True,
    )
    id: Annotated[str, StringConstraints(max_length=64)]
    to: Annotated[str, StringConstraints(max_length=64)]
    sent_at_ms: Millis
    suite: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    payloads: dict[str, str]
    urgent: bool = True
    expires_in_s: Annotated[int, Field(ge=1, le=2_419_200)] | None = None


class AcceptedMessage(BaseModel):
    """The message is durable; `seq` is its position in the recipient's mailbox."""

    model_config = _model(id=_ID, seq=4_294_967_301, accepted_at_ms=1_795_000_000_000)
    id: str
    seq: Seq
    accepted_at_ms: Millis


class MessageState(BaseModel):
    """The sender's view of a message."""

    model_config = _model(
        id=_ID, to="bob", seq=4_294_967_301, state="delivered", accepted_at_ms=1, delivered_at_ms=2
    )
    id: str
    to: str
    seq: Seq
    state: Literal["accepted", "stored", "delivered", "read"]
    accepted_at_ms: Millis
    delivered_at_ms: Millis | None = None
    read_at_ms: Millis | None = None


class Page(BaseModel):
    """Mailbox entries in `seq` order."""

    model_config = _model(
        cursor=4_294_967_301,
        entries=[
            {
                "type": "message",
                "seq": 4_294_967_301,
                "prev": 4_294_967_298,
                "at_ms": 1_795_000_000_000,
                "id": _ID,
                "from": "alice",
                "from_device": _DEVICE,
                "sent_at_ms": 1_795_000_000_000,
                "accepted_at_ms": 1_795_000_000_000,
                "suite": "sealed.v1",
                "payload": "yv66vg",
            }
        ],
        more=False,
        missed=False,
    )
    cursor: Seq
    entries: list[Object]
    more: bool
    missed: bool


class UpTo(BaseModel):
    """A position up to which everything is meant."""

    model_config = _model(seq=4_294_967_301)
    seq: Seq


class ReadUpTo(BaseModel):
    """A position up to which everything from `peer` is meant."""

    model_config = _model(peer="alice", seq=4_294_967_301)
    peer: Annotated[str, StringConstraints(max_length=64)]
    seq: Seq


class TypingTo(BaseModel):
    """Whether the caller is typing to `peer`."""

    model_config = _model(peer="bob", state="typing")
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


class UserInfo(BaseModel):
    """What everyone may know of a user."""

    model_config = _model(user_id=_USER, username="bob", display_name="Bob")
    user_id: str
    username: str
    display_name: str


class PresenceInfo(BaseModel):
    """A user's presence, as far as their settings show it."""

    model_config = _model(state="offline", last_seen_ms=1_795_000_000_000)
    state: Literal["online", "offline"]
    last_seen_ms: Millis | None = None


class BlockList(BaseModel):
    """List the users whom the caller has blocked."""

    model_config = _model(blocks=["mallory"])
    blocks: list[str]


class Readiness(BaseModel):
    """One line for each dependency."""

    model_config = _model(ready=True, checks={"mongo": "ok", "redis": "ok", "log": "ok", "hosts": "2/2"})
    ready: bool
    checks: dict[str, str]
