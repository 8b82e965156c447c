"""Bodies of the calls about connections and hot users."""

from pydantic import BaseModel

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_USER, Millis, model


class ConnectionState(BaseModel):
    """A WebSocket connection; of its address the network is shown.

    `stuck_ms`: for how long the client has left what was written unread; `sent`: the seq of the last entry
    that went down; `unacknowledged` and `oldest_unacknowledged_ms`, an age, are null if the user's host does
    not say.
    """

    model_config = model(
        id="gateway-1:17:1795000000000",
        gateway="gateway-1",
        username="alice",
        device_id=EXAMPLE_DEVICE,
        since_ms=1_795_000_000_000,
        address_prefix="203.0.113.0/24",
        unacknowledged=12,
        queued_bytes=0,
        stuck_ms=0,
        sent=4_294_967_301,
        oldest_unacknowledged_ms=4_200,
        background=False,
        subprotocol="roost.v1.msgpack",
    )
    id: str
    gateway: str
    username: str
    device_id: str
    since_ms: Millis
    address_prefix: str
    unacknowledged: int | None
    queued_bytes: int
    stuck_ms: int
    sent: int
    oldest_unacknowledged_ms: int | None
    background: bool
    subprotocol: str


class DisplacedStream(BaseModel):
    """A connection that a newer one of the same device took over from."""

    gateway: str
    username: str
    device_id: str
    at_ms: Millis


class ConnectionList(BaseModel):
    """Connections in the order that was asked for; `away` are gateways that did not answer."""

    model_config = model(connections=[], recently_displaced=[], away=[])
    connections: list[ConnectionState]
    recently_displaced: list[DisplacedStream]
    away: list[str]


class HotUser(BaseModel):
    """A user who was given many messages."""

    user_id: str
    username: str
    host: str
    count: int
    per_s: float


class HotUsers(BaseModel):
    """The hottest users since a look of up to a minute ago; a first look only begins to count."""

    model_config = model(
        users=[{"user_id": EXAMPLE_USER, "username": "alice", "host": "host-2", "count": 840, "per_s": 14.0}],
        since_ms=1_795_000_000_000,
    )
    users: list[HotUser]
    since_ms: Millis
