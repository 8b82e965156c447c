"""The client SDK: encrypts, keeps what it sends until it is delivered, and tells what comes in.

``core`` and ``outbox`` are the rules, without I/O; ``engine`` and ``aio`` are their asyncio shell.
"""

from roost.client.client import MAX_CONTENT, Client, connections
from roost.client.events import (
    Accepted,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Failed,
    KeyChanged,
    MessageReceived,
    Missed,
    Presence,
    Read,
    Refused,
    SentElsewhere,
    Synced,
    Typing,
    Undecryptable,
    Unsupported,
)
from roost.client.keystore import FileKeystore, Keystore, MemoryKeystore
from roost.client.shell.engine import Options

__all__ = [
    "MAX_CONTENT",
    "Accepted",
    "Client",
    "Connected",
    "Delivered",
    "Disconnected",
    "Event",
    "Failed",
    "FileKeystore",
    "KeyChanged",
    "Keystore",
    "MemoryKeystore",
    "MessageReceived",
    "Missed",
    "Options",
    "Presence",
    "Read",
    "Refused",
    "SentElsewhere",
    "Synced",
    "Typing",
    "Undecryptable",
    "Unsupported",
    "connections",
]
