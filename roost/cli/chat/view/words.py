"""What is said of messages, people and the connection, in words."""

from datetime import date, timedelta, tzinfo
from typing import Final

from roost.cli.moments import local
from roost.client import Message

_TICKS: Final = {
    "sending": "… sending",
    "sent": "✓ sent",
    "delivered": "✓✓ delivered",
    "read": "✓✓ read",
    "expired": "✗ its time was over before it was delivered",
}

_REASONS: Final = {
    "unknown_suite": "it is sealed in a way that this version does not know",
    "unknown_device": "it is of a device that its sender does not have",
    "not_for_this_key": "it was sealed to another key than this device's",
    "malformed": "it is damaged",
    "bad_signature": "its signature is not the sender's",
    "wrong_heading": "it was delivered as another message than it is",
    "no_copy": "your other device made no copy for this one",
}

_KILO: Final = 1000
_UNITS: Final = ((7 * 86_400, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def ticks(message: Message) -> str:
    """Return how far one's own message got; empty for one of the peer."""
    if message.state is None:
        return ""
    return _TICKS.get(message.state, f"✗ not sent: {message.code.replace('_', ' ')}")


def why_unreadable(reason: str) -> str:
    """Return the sentence for a message that could not be decrypted."""
    return f"cannot be decrypted: {_REASONS.get(reason, reason.replace('_', ' '))}"


def how_long(seconds: int) -> str:
    """Return a length of time in the greatest unit that divides it."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    count = seconds // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def size_of(count: int) -> str:
    """Return so many bytes, in a unit that keeps the number short."""
    size, unit = float(count), "bytes"
    for greater in ("kB", "MB", "GB", "TB"):
        if size < _KILO - 0.5:  # what rounds to 1000 is one of the next unit
            break
        size, unit = size / _KILO, greater
    return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"  # noqa: PLR2004


def day_name(day: date, today: date) -> str:
    """Return what a day is called above its messages."""
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A}, {day.day} {day:%B %Y}"


def short_time(at_ms: int, now_ms: int, zone: tzinfo | None = None) -> str:
    """Return the time if it was today, else the day."""
    at, now = local(at_ms, zone), local(now_ms, zone)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at:%Y-%m-%d}"
