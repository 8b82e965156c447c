"""The last wake-ups that a pusher saw through, for operators who look at a user."""

from collections import deque
from typing import Any, Final

from storage.records import decode_push

_KEPT: Final = 2_000
_SHOWN: Final = 10


class RecentPushes:
    """A ring of records as they came, with their outcomes; they are decoded only when someone asks."""

    def __init__(self) -> None:
        self._ring: deque[tuple[bytes, str]] = deque(maxlen=_KEPT)

    def note(self, value: bytes, outcome: str) -> None:
        """Remember what became of a wake-up."""
        self._ring.append((value, outcome))

    def of(self, user: str) -> list[dict[str, Any]]:
        """Return the user's last wake-ups, newest first."""
        found: list[dict[str, Any]] = []
        for value, outcome in reversed(self._ring):
            if len(found) >= _SHOWN:
                break
            if user.encode() not in value:
                continue
            try:
                push = decode_push(value)
            except (ValueError, RecursionError):
                continue  # among the dead letters, with the reason
            if push.user == user:
                found.append({"at_ms": push.at_ms, "device_id": push.device, "outcome": outcome})
        return found
