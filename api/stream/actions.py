"""The actions of a WebSocket stream: what its rules (`api.stream.session`) decide and its socket does."""

from typing import Literal

from msgspec import Struct

from api.identity.tokens import Principal
from roost import wire


class Emit(Struct, frozen=True):
    """Send this frame."""

    frame: wire.ServerFrame


class Shut(Struct, frozen=True):
    """Close the socket, after what was emitted."""

    code: int
    reason: str


class Open(Struct, frozen=True):
    """Attach the stream at the host."""

    principal: Principal
    cursor: int | None
    background: bool


class Renew(Struct, frozen=True):
    """The stream goes on with this token."""

    principal: Principal


class Submit(Struct, frozen=True):
    """Accept this message; answer with `StreamSession.answered` or `StreamSession.refused`."""

    frame: wire.Send


class Acknowledge(Struct, frozen=True):
    """The device holds everything up to ``seq``."""

    seq: int


class MarkRead(Struct, frozen=True):
    """The user has read ``peer`` up to ``seq``."""

    peer: str
    seq: int


class Type(Struct, frozen=True):
    """Tell ``peer``."""

    peer: str
    state: Literal["typing", "paused"]


class Follow(Struct, frozen=True):
    """Follow the presence of exactly these users."""

    users: list[str]


Action = Emit | Shut | Open | Renew | Submit | Acknowledge | MarkRead | Type | Follow
