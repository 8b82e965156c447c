"""The rules of a light client: the contract of one stream as load needs it, without encryption.

It acknowledges what came in batches, cumulatively, and when its connection breaks it sends again, in the old
order, what has no answer. The connection is its app's: that of a simulation can be disturbed, that of a
benchmark is the fastest there is.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from roost.client.effects import Batch, Incoming, Opaque
from roost.codes import CODES
from roost.wire import Accepted, Entry, Missed, Problem, Ready, Rejected, Send

_ACK_S: Final = 0.02
_AGAIN_S: Final = 0.2
"""The pause before a message is sent again whose refusal names none."""


class Manner(Struct, frozen=True):
    """How clients behave.

    Attributes:
        one_in_flight: For each recipient only one message is on its way, as with the SDK; else all at once.
        insists: What was refused for now is sent again after the time it was told; else it is given up.
        patient: A device that was refused writes nothing until that time is over.
    """

    one_in_flight: bool = False
    insists: bool = True
    patient: bool = False


class Counts:
    """What all clients of a load saw beside the messages."""

    def __init__(self) -> None:
        self.receipts = self.acks = self.reconnects = self.repeated = self.withheld = 0
        self.refusals: Counter[str] = Counter()
        self.retry_after_s: list[float] = []
        self.untimed = 0
        self.problems: Counter[str] = Counter()


class Sent(Struct):
    """A message on its way.

    Attributes:
        frame: As it is written.
        written_s: When it was written last, on the event loop's clock; 0 if it never was.
    """

    frame: Send
    written_s: float = 0.0


class App(Protocol):
    """Whose stream it is."""

    def write(self, sent: Sent) -> bool:
        """Write a message to the server; False if that cannot be done yet."""
        ...

    def acknowledge(self, seq: int) -> None:
        """Write an acknowledgement."""
        ...

    def accepted(self, sent: Sent, seq: int) -> None:
        """A message is durable."""
        ...

    def given_up(self, sent: Sent, code: str) -> None:
        """A message was refused, and is not sent again."""
        ...

    def arrived(self, entries: Sequence[Entry | Opaque]) -> None:
        """Entries came, of which some may have come before."""
        ...


class LightStream:
    """The stream of one device, over all its connections.

    Attributes:
        cursor: The last entry that came, None before the first connection.
        ready: There is a connection, and it has begun.
        silent_until_s: A patient device writes nothing before, on the event loop's clock.
    """

    def __init__(self, app: App, manner: Manner, counts: Counts) -> None:
        self.cursor: int | None = None
        self.ready = False
        self.silent_until_s = 0.0
        self._app, self._manner, self._counts = app, manner, counts
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, Sent] = {}  # by id, for an answer
        self._lanes: dict[str, deque[Sent]] = {}  # by recipient; the first of each is among those that wait
        self._acking = False

    @property
    def unanswered(self) -> int:
        """Messages neither accepted nor given up, where one is in flight for each recipient."""
        return sum(map(len, self._lanes.values()))

    def send(self, sent: Sent) -> None:
        """Send a message as soon as its turn comes."""
        if self._manner.one_in_flight:
            lane = self._lanes.setdefault(sent.frame.to, deque())
            lane.append(sent)
            if len(lane) > 1:
                return
        self._waiting[sent.frame.id] = sent
        self._write(sent)

    def write_unwritten(self) -> None:
        """Try again to write what could not be written."""
        for sent in list(self._waiting.values()):
            if not sent.written_s:
                self._write(sent)

    def write_again(self, before_s: float) -> None:
        """Write again what was written before this moment and has no answer."""
        for sent in list(self._waiting.values()):
            if 0 < sent.written_s < before_s:
                self._counts.repeated += 1
                self._write(sent)

    def lost(self) -> None:
        """The connection is gone."""
        self.ready = False

    def acknowledge(self) -> None:
        """Acknowledge what came."""
        self._acking = False
        if self.ready and self.cursor:
            self._counts.acks += 1
            self._app.acknowledge(self.cursor)

    def take(self, frame: Incoming) -> None:
        """Take a frame of the server."""
        match frame:
            case Batch():
                self._arrived(frame.entries)
            case Accepted():
                if (sent := self._answered(frame.id)) is not None:
                    self._app.accepted(sent, frame.seq)
            case Rejected():
                self._rejected(frame)
            case Ready():
                self._begin(frame)
            case Missed():
                self._counts.problems["missed"] += 1
            case Problem():
                self._counts.problems[f"problem {frame.code}"] += 1

    def _begin(self, frame: Ready) -> None:
        self.ready = True
        if self.cursor is None:
            self.cursor = frame.cursor
        else:  # what was acknowledged last may have been lost with the connection
            self.acknowledge()
        for sent in list(self._waiting.values()):
            self._write(sent)

    def _arrived(self, entries: Sequence[Entry | Opaque]) -> None:
        self._app.arrived(entries)
        self.cursor = max(self.cursor or 0, entries[-1].seq)
        if not self._acking:
            self._acking = True
            self._loop.call_later(_ACK_S, self.acknowledge)

    def _rejected(self, frame: Rejected) -> None:
        self._counts.refusals[frame.code] += 1
        pause_s = frame.retry_after_s
        if pause_s is None:
            self._counts.untimed += 1
        else:
            self._counts.retry_after_s.append(pause_s)
            if self._manner.patient:
                self.silent_until_s = max(self.silent_until_s, self._loop.time() + pause_s)
        code = CODES.get(frame.code)
        if self._manner.insists and code is not None and code.retry == "later":
            self._counts.repeated += 1
            self._loop.call_later(pause_s or _AGAIN_S, self._insist, frame.id)
        elif (sent := self._answered(frame.id)) is not None:
            self._app.given_up(sent, frame.code)

    def _insist(self, message_id: str) -> None:
        if (sent := self._waiting.get(message_id)) is not None:
            self._write(sent)

    def _answered(self, message_id: str) -> Sent | None:
        """Take a message off the waiting ones, and let the next of its lane go."""
        sent = self._waiting.pop(message_id, None)
        if sent is not None and self._manner.one_in_flight:
            lane = self._lanes[sent.frame.to]
            lane.popleft()
            if lane:
                self._waiting[lane[0].frame.id] = lane[0]
                self._write(lane[0])
        return sent

    def _write(self, sent: Sent) -> None:
        if self.ready and self._app.write(sent):
            sent.written_s = self._loop.time()
