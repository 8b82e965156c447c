"""When the peer is told that this user types."""

from typing import Final

_AGAIN_MS: Final = 3_000
"""Half of how long the other side shows it."""

_PAUSE_MS: Final = 5_000


class TypingTeller:
    """Says when to tell it: at the first key, again while it goes on, and that it has paused.

    A peer is not told more often for messages that are sent in between: servers limit it.
    """

    def __init__(self) -> None:
        self._peer: str | None = None
        self._told_ms: dict[str, int] = {}
        self._typed_ms = 0

    def typed(self, peer: str, text: str, now_ms: int) -> bool:
        """Note a key; return whether the peer is to be told that this user types."""
        if not text.strip():
            return False
        self._peer, self._typed_ms = peer, now_ms
        if now_ms - self._told_ms.get(peer, now_ms - _AGAIN_MS) < _AGAIN_MS:
            return False
        self._told_ms[peer] = now_ms
        return True

    def paused(self, now_ms: int) -> str | None:
        """Return who is to be told that this user has paused, once."""
        if self._peer is None or now_ms - self._typed_ms < _PAUSE_MS:
            return None
        peer, self._peer = self._peer, None
        del self._told_ms[peer]
        return peer

    def sent(self) -> None:
        """Note that the message was sent: it tells that itself."""
        self._peer = None
