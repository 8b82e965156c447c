"""The options of a client."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from roost.client.events import Event
from roost.client.transport import Transport
from roost.clock import Clock, elapsed_ms, now_ms
from roost.wire import MSGPACK


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves.

    Attributes:
        mode: ``stream``: WebSocket only; ``poll``: HTTP only; ``auto``: HTTP where WebSockets are blocked.
        subprotocol: Encoding of the frames on the WebSocket.
        background: Sync without being shown online.
        device_name: Name of a new device.
        on_event: Called with each event instead of ``events()``; when it returns, the event is taken.
        transport: Factory of connections; for tests.
        clock: This machine's clock.
        elapsed: Milliseconds since some moment in the past, on a clock that no one sets.
        hold_new_devices: Send nothing to a peer with a device that was added since the first sight, until
            ``Client.trust``.
        random: Source of random bytes.
        ca: PEM file of the authorities to believe, such as a private CA; None for those of the machine. Of no
            use with a connection pool of one's own.
    """

    mode: Literal["auto", "stream", "poll"] = "auto"
    subprotocol: str = MSGPACK
    background: bool = False
    device_name: str = "roost"
    on_event: Callable[[Event], None] | None = None
    transport: Callable[[], Transport] | None = None
    clock: Clock = now_ms
    elapsed: Clock = elapsed_ms
    hold_new_devices: bool = False
    random: Callable[[int], bytes] = secrets.token_bytes
    ca: Path | None = None
