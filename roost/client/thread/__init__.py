"""A conversation: what happened in it, and what it shows."""

from roost.client.thread.covered import JUMP, Covered
from roost.client.thread.events import (
    Accepted,
    Delivered,
    Event,
    Expired,
    Failed,
    Receipt,
    Renamed,
    Unreadable,
    Written,
)
from roost.client.thread.message import Message, is_shown
from roost.client.thread.thread import Thread

__all__ = [
    "JUMP",
    "Accepted",
    "Covered",
    "Delivered",
    "Event",
    "Expired",
    "Failed",
    "Message",
    "Receipt",
    "Renamed",
    "Thread",
    "Unreadable",
    "Written",
    "is_shown",
]
