"""Who is online, who may know, and when an absence becomes news.

A short absence (a phone changing networks) is not announced: the user goes offline only when no
foreground stream came back for ``DEBOUNCE_MS``.
"""

from typing import Literal

DEBOUNCE_MS = 5_000

Privacy = Literal["everyone", "contacts", "nobody"]


class Presence:
    """One user's presence.

    Attributes:
        online: What watchers have been told.
        last_seen_ms: When the last foreground stream ended.
        offline_at_ms: When the absence becomes news, None while there is none.
    """

    def __init__(self, last_seen_ms: int) -> None:
        self.online = False
        self.last_seen_ms = last_seen_ms
        self.offline_at_ms: int | None = None

    def arrived(self) -> bool:
        """A foreground stream is here. Returns whether that is news."""
        self.offline_at_ms = None
        news, self.online = not self.online, True
        return news

    def left(self, now_ms: int) -> int:
        """The last foreground stream is gone. Returns when to look again."""
        self.last_seen_ms = now_ms
        self.offline_at_ms = now_ms + DEBOUNCE_MS
        return self.offline_at_ms

    def expired(self, now_ms: int) -> bool:
        """Time passed. Returns whether the user has just gone offline."""
        if self.offline_at_ms is None or now_ms < self.offline_at_ms:
            return False
        self.offline_at_ms, self.online = None, False
        return True

    def seen_by(self, *, allowed: bool) -> tuple[bool, int | None]:
        """Return (online, last_seen_ms) as somebody may see it who is allowed to, or not."""
        if not allowed:
            return False, None
        return self.online, None if self.online else (self.last_seen_ms or None)


def may_see(privacy: Privacy, *, contact: bool, blocked: bool) -> bool:
    """Say whether a watcher may see the presence: by the user's setting, and never when blocked."""
    if blocked or privacy == "nobody":
        return False
    return privacy == "everyone" or contact
