"""The streams and presence watches of gateways: which link each belongs to."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from actors.host.streams.crash_loops import LOOP, CrashLoops
from actors.rpc import messages as msg
from actors.rpc.link import Link
from roost.clock import Clock
from telemetry import metrics


class StreamKey(NamedTuple):
    """A stream as its gateway names it."""

    link: Link
    stream: int


class StreamInfo(Struct):
    """A stream as this host names it.

    Attributes:
        number: Unique in this incarnation of the host.
        key: How its gateway names it.
        user: User id.
        device: Device id.
        opened_ms: When it was attached; 0 once its backlog is through.
        last: The last entry sent down.
        waiting_ms: Since when the device has entries and acknowledges none, 0 if it has none.
    """

    number: int
    key: StreamKey
    user: str
    device: str
    opened_ms: int
    last: int = 0
    waiting_ms: int = 0


class Streams:
    """The streams that are attached here.

    Attributes:
        by_number: As the actors know them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._by_key: dict[StreamKey, StreamInfo] = {}
        self.by_number: dict[int, StreamInfo] = {}
        self._crash_loops = CrashLoops()

    def __len__(self) -> int:
        return len(self.by_number)

    def open(self, key: StreamKey, user: str, device: str) -> int:
        """Give the stream a number of this host; the same one if it is known."""
        known = self._by_key.get(key)
        if known is not None:
            return known.number
        self._last += 1
        info = StreamInfo(self._last, key, user, device, self._clock())
        self._by_key[key] = self.by_number[info.number] = info
        return info.number

    def forget(self, key: StreamKey) -> StreamInfo | None:
        """Forget the stream; returns what was known of it."""
        info = self._by_key.pop(key, None)
        if info is not None:
            del self.by_number[info.number]
        return info

    def forget_users(self, gone: Callable[[str], bool]) -> None:
        """Forget the streams of the users who are no longer here."""
        for key in [info.key for info in self.by_number.values() if gone(info.user)]:
            self.forget(key)

    def get(self, key: StreamKey) -> StreamInfo | None:
        """Return what is known of the stream."""
        return self._by_key.get(key)

    def of_link(self, link: Link) -> list[StreamKey]:
        """Return the gateway's streams."""
        return [key for key in self._by_key if key.link is link]

    def close(self, number: int, code: str, detail: str) -> None:
        """End the stream with this code word."""
        info = self.by_number.get(number)
        if info is not None:
            info.key.link.send(msg.Close(info.key.stream, code, detail))
            self.forget(info.key)

    def close_user(self, user: str, code: str, detail: str) -> None:
        """End all streams of a user."""
        for number in [info.number for info in self.by_number.values() if info.user == user]:
            self.close(number, code, detail)

    def begun(self, info: StreamInfo, seq: int) -> None:
        """Note the first entry of a stream: the same one again and again is a loop."""
        times = self._crash_loops.sent((info.user, info.device), seq)
        metrics.REDELIVERIES.inc(times > 1)
        metrics.REDELIVERY_LOOPS.inc(times == LOOP)

    def acked(self, user: str, device: str, seq: int, info: StreamInfo | None) -> None:
        """Note that the device holds everything up to ``seq``; with the stream that said so, if one did."""
        self._crash_loops.acked((user, device), seq)
        if info is not None:
            info.waiting_ms = self._clock() if seq < info.last else 0

    def oldest_wait_s(self) -> float:
        """Return the longest time in seconds that a device has entries and acknowledges none."""
        since = min((info.waiting_ms for info in self.by_number.values() if info.waiting_ms), default=None)
        return 0.0 if since is None else max(0, self._clock() - since) / 1000


class Watches:
    """Which gateways pass a user's presence on to which watcher."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, str], set[Link]] = {}

    def add(self, link: Link, watcher: str, user: str) -> None:
        """Remember that this gateway passes it on."""
        self._links.setdefault((watcher, user), set()).add(link)

    def remove(self, link: Link, watcher: str, user: str) -> bool:
        """Forget it; returns whether no gateway is left that watches for this watcher."""
        links = self._links.get((watcher, user), set())
        links.discard(link)
        if not links:
            self._links.pop((watcher, user), None)
        return not links

    def remove_link(self, link: Link) -> list[tuple[str, str]]:
        """Forget a gateway; returns the watcher and user of each watch that no other one has."""
        mine = [pair for pair, links in self._links.items() if link in links]
        return [pair for pair in mine if self.remove(link, *pair)]

    def links(self, watcher: str, user: str) -> set[Link]:
        """Return who passes the user's presence on to the watcher."""
        return self._links.get((watcher, user), set())
