"""A user's presence: whether it is online, and who is told.

A short absence (a phone changing networks) is not announced: the user goes offline only when no
foreground stream came back for ``DEBOUNCE_MS``.
"""

from actors.user import effects as do
from actors.user import events as ev
from actors.user.peers import Peers

DEBOUNCE_MS = 5_000


class Presence:
    """One user's presence.

    Args:
        peers: Tells who may see it.
        out: Effects go here.

    Attributes:
        online: What watchers have been told.
        last_seen_ms: When the last foreground stream ended.
        offline_at_ms: When the absence becomes news, None while there is none.
        watchers: User ids of those who want to be told.
    """

    __slots__ = ("_out", "_peers", "last_seen_ms", "offline_at_ms", "online", "watchers")

    def __init__(self, peers: Peers, out: list[do.Effect]) -> None:
        self._peers, self._out = peers, out
        self.online = False
        self.last_seen_ms = peers.user.last_seen_ms
        self.offline_at_ms: int | None = None
        self.watchers: set[str] = set()

    def streams_changed(self, now_ms: int, *, in_foreground: bool) -> None:
        """A stream came or went; ``in_foreground``: one of those that are left shows the user online."""
        if in_foreground:
            self.offline_at_ms = None
            if not self.online:
                self.online = True
                self._announce(now_ms)
        elif self.online and self.offline_at_ms is None:
            self.last_seen_ms = now_ms
            self.offline_at_ms = now_ms + DEBOUNCE_MS
            self._out.append(do.SetTimer(self.offline_at_ms))

    def time_passed(self, now_ms: int) -> None:
        """Go offline if the absence was long enough."""
        # Further ahead than the debounce: the clock was set back, and the wait is over all the same.
        if self.offline_at_ms is not None and not 0 < self.offline_at_ms - now_ms <= DEBOUNCE_MS:
            self.offline_at_ms, self.online = None, False
            self._announce(self.last_seen_ms)

    def _announce(self, at_ms: int) -> None:
        self._out.append(do.PresenceChanged(self.online, at_ms))
        for watcher in sorted(self.watchers):
            self.tell(watcher)

    def tell(self, watcher: str) -> None:
        """Tell a peer what it may see, if it watches."""
        if watcher in self.watchers:
            self._out.append(do.TellPresence(watcher, *self._seen_by(watcher)))

    def watch(self, watcher: str) -> None:
        """Tell a peer what it may see, now and whenever that changes."""
        self.watchers.add(watcher)
        self.tell(watcher)

    def unwatch(self, watcher: str) -> None:
        """Tell it no longer."""
        self.watchers.discard(watcher)

    def answer(self, event: ev.PresenceAsked) -> None:
        """Say what a peer may see."""
        self._out.append(do.AnswerPresence(event.token, *self._seen_by(event.watcher)))

    def _seen_by(self, peer: str) -> tuple[bool, int | None]:
        """Return (online, last_seen_ms) as the peer may see it."""
        if not self._peers.may_see_presence(peer):
            return False, None
        return self.online, None if self.online else (self.last_seen_ms or None)
