"""Loads: all clients of one kind of traffic, and the ways in which they send."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence

from benchmarks.accounts import Account
from benchmarks.client import Client
from benchmarks.ledger import Book, Ledger
from benchmarks.pacing import Pace
from benchmarks.xmpp import XmppClient
from sim.people.light_stream import Counts, Manner

STANDSTILL_S = 60.0
_CONNECT_AT_ONCE = 50
_GREETINGS_AT_ONCE = 200
_LOOK_S = 1.0

_now = time.perf_counter_ns


class Span:
    """A stretch of time in which a load was measured, on the ledger's clock."""

    def __init__(self, begin_ns: int, end_ns: int) -> None:
        self.begin_ns, self.end_ns = begin_ns, end_ns

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.begin_ns) / 1e9


class Load:
    """People who write to each other.

    Args:
        base: URL of the server.
        people: All of them.
        pairs: Who writes to whom, as places in ``people``.
        book: Where the ledger of this load is kept.
        seed: Draws who writes next.
        manner: How clients behave.
        client: What a client is.

    Attributes:
        ledger: What became of the messages.
        counts: What else was seen.
        not_offered: Messages of a fixed rate that the generator did not get to (`pace` with ``hurries``).
    """

    def __init__(
        self,
        base: str,
        people: Sequence[Account],
        pairs: Sequence[tuple[int, int]],
        book: Book,
        *,
        seed: int = 1,
        manner: Manner | None = None,
        client: "type[Client | XmppClient]" = Client,
    ) -> None:
        self.base, self.people, self.pairs = base, people, pairs
        self.ledger: Ledger = book.open([(people[a].username, people[b].username) for a, b in pairs])
        self.counts = Counts()
        self.not_offered = 0
        self._random = random.Random(seed)
        self._moved = asyncio.Event()
        manner = manner or Manner()
        self.clients = [client(each, book, self.counts, self._moved.set, manner) for each in people]
        self._watch: asyncio.Task[None] | None = None
        self._progress, self._progress_s = (0, 0, 0), time.monotonic()

    async def join(self, places: Sequence[int] | None = None) -> None:
        """Connect everyone, or those at some places."""
        chosen = self.clients if places is None else [self.clients[place] for place in places]
        for first in range(0, len(chosen), _CONNECT_AT_ONCE):
            await asyncio.gather(
                *(client.connect(self.base) for client in chosen[first : first + _CONNECT_AT_ONCE])
            )
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_after())

    async def leave(self) -> None:
        """Disconnect everyone."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for client in self.clients:
            client.leave()
        # Let the last acknowledgements and goodbyes go out.
        await asyncio.sleep(0)

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = asyncio.get_running_loop().time()
            for client in self.clients:
                client.send_again(now_s)

    def send_one(self, due_ns: int, pair: int | None = None) -> None:
        """Let a user write to a contact."""
        if pair is None:
            pair = self._random.randrange(len(self.pairs))
        sender, recipient = self.pairs[pair]
        client = self.clients[sender]
        if client.silent_until_s and client.silent_until_s > asyncio.get_running_loop().time():
            self.counts.withheld += 1
            return
        client.send(self.ledger, self.ledger.send(pair, due_ns), self.people[recipient])

    async def greet(self) -> None:
        """Let everyone write to each contact once, so that conversations exist."""
        for pair in range(len(self.pairs)):
            while self.ledger.outstanding >= _GREETINGS_AT_ONCE:
                await self.movement()
            self.send_one(_now(), pair)
        await self.settle()

    async def press(
        self, window: int, warm_up_s: float, seconds: float, *, messages: int | None = None
    ) -> Span:
        """Keep so many messages on their way: the next is due when one was delivered.

        With ``messages`` it ends as soon as so many were sent.
        """
        begin = _now() + round(warm_up_s * 1e9)
        span = Span(begin, begin + round(seconds * 1e9))
        while (now := _now()) < span.end_ns and (messages is None or self.ledger.sent < messages):
            for _ in range(window - self.ledger.outstanding):
                self.send_one(now)
            await self.movement()
        return Span(begin, min(_now(), span.end_ns))

    async def press_unanswered(self, window: int, seconds: float) -> Span:
        """Keep so many messages unanswered, whether or not the recipient is there."""
        begin = _now()
        span = Span(begin, begin + round(seconds * 1e9))
        while _now() < span.end_ns:
            for _ in range(window - self.ledger.unanswered):
                self.send_one(_now())
            await self.movement()
        return span

    async def pace(self, rate: float, warm_up_s: float, seconds: float, *, hurries: bool = False) -> Span:
        """Send at a fixed rate, whatever the answers.

        Args:
            rate: Messages a second.
            warm_up_s: Before the measured time, at the same rate.
            seconds: The measured time.
            hurries: What the generator could not send within a tenth of a second is left out and counted, so
                that a rate beyond what it can do itself measures the server and not its own backlog.
        """
        pace = Pace(_now(), rate, warm_up_s + seconds)
        sent = 0
        while sent < pace.count:
            now = _now()
            owed = pace.owed(now)
            if hurries and owed - sent > rate / 10:
                late = round(owed - sent - rate / 10)
                self.not_offered += late
                sent += late
            # A stretch at a time: answers must be read between.
            stop = min(owed, sent + 64)
            while sent < stop:
                self.send_one(pace.due_ns(sent))
                sent += 1
            if sent < pace.count:
                await asyncio.sleep(pace.wait_s(sent, _now()))
        return Span(pace.begin_ns + round(warm_up_s * 1e9), pace.end_ns)

    async def settle(self, within_s: float = 30.0) -> bool:
        """Wait until everything was answered and what was accepted has arrived; return whether it did."""
        ends = time.monotonic() + within_s
        while not self.settled:
            if time.monotonic() > ends:
                return False
            await self._wake()
        return True

    @property
    def settled(self) -> bool:
        """Whether everything was answered and delivered or given up."""
        return not self.ledger.outstanding and not self.ledger.unanswered

    async def movement(self) -> None:
        """Wait until a message was answered or delivered, for a second at most.

        Raises:
            RuntimeError: Nothing has moved for a minute, although something should.
        """
        await self._wake()
        now_s, progress = time.monotonic(), (self.ledger.accepted, self.ledger.delivered, self.ledger.refused)
        if progress != self._progress or self.settled:
            self._progress, self._progress_s = progress, now_s
        elif now_s - self._progress_s > STANDSTILL_S:
            raise RuntimeError(
                f"nothing moved for {STANDSTILL_S:g} s: {self.ledger.outstanding} not delivered, "
                f"{self.ledger.unanswered} not answered"
            )

    async def _wake(self) -> None:
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._moved.wait()
