"""Bodies of the calls about one user."""

from pydantic import BaseModel

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_USER, Millis, model


class DeviceState(BaseModel):
    """A device, without the name that its owner gave it."""

    device_id: str
    created_at_ms: Millis
    has_keys: bool
    push: bool
    signed_out: bool


class SessionState(BaseModel):
    """A session that has not ended."""

    device_id: str
    created_at_ms: Millis
    used_at_ms: Millis
    expires_at_ms: Millis
    signed_refresh: bool


class StreamState(BaseModel):
    """A stream of a device; `waiting_since_ms`: since when it has entries and acknowledges none, or 0."""

    device_id: str
    gateway: str
    background: bool
    unacknowledged: int
    waiting_since_ms: int


class PushState(BaseModel):
    """A wake-up that a pusher remembers; `at_ms` is when it was asked for."""

    at_ms: Millis
    device_id: str
    provider: str
    outcome: str


class LimitState(BaseModel):
    """What is left of a rate limit; of those that each gateway counts for itself, where the least is left.

    Those named `bytes_...` count bytes: of a device, to the user, and of the user's messages to `to`, of whom
    the one with the least left is shown.
    """

    name: str
    device_id: str = ""
    to: str = ""
    left: int
    of: int
    resets_at_ms: Millis


class UserState(BaseModel):
    """An account as operators see it.

    `backlog` has entries that are stored and not acknowledged, by device, up to 1,000. What a role that does
    not answer would know is null.
    """

    model_config = model(
        user_id=EXAMPLE_USER,
        username="alice",
        created_at_ms=1_795_000_000_000,
        last_seen_ms=1_795_000_360_000,
        scopes=[],
        devices=[
            {
                "device_id": EXAMPLE_DEVICE,
                "created_at_ms": 1_795_000_000_000,
                "has_keys": True,
                "push": True,
                "signed_out": False,
            }
        ],
        sessions=[],
        backlog={EXAMPLE_DEVICE: 3},
        oldest_unacknowledged_at_ms=1_795_000_300_000,
        host="host-2",
        shard=5,
        online=False,
        streams=[],
        pushes=[
            {
                "at_ms": 1_795_000_300_000,
                "device_id": EXAMPLE_DEVICE,
                "provider": "fcm",
                "outcome": "sent",
            }
        ],
        limits=[{"name": "logins_by_user", "left": 20, "of": 20, "resets_at_ms": 1_795_000_400_000}],
    )
    user_id: str
    username: str
    created_at_ms: Millis
    last_seen_ms: Millis
    scopes: list[str]
    devices: list[DeviceState]
    sessions: list[SessionState]
    backlog: dict[str, int]
    oldest_unacknowledged_at_ms: Millis | None
    host: str | None
    shard: int | None
    online: bool | None
    streams: list[StreamState] | None
    pushes: list[PushState] | None
    limits: list[LimitState]
