"""The links to the hosts: streams attached to the right one, questions asked and answered.

Nothing here lasts. When a link breaks, a host restarts or a shard moves, the streams of those
shards are attached again where they belong now, from the last entry that went down the socket,
and questions are asked anew until their time is up: each of them may be asked twice.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog

from actors.rpc import messages as m
from actors.rpc.link import Link, connect
from actors.service import Address
from roost.errors import RoostError, Unavailable
from roost.ids import shard_of
from storage.records import ShardMap

_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 1.0
_ASK_S = 5.0
_AGAIN_S = 0.1
_ATTACH_AGAIN_S = 0.2
_QUESTIONS = 50_000
_SINCE_PROTOCOL = 3
"""Hosts understand `Since` and `Unstored` from this protocol on."""

log = structlog.get_logger(__name__)


class Streamed(Protocol):
    """A local stream, as the links see it.

    Attributes:
        number: Of its attachment, set with each one; unique in this gateway's life.
        user: User id.
        link: Where it is attached, None while it is not.
    """

    number: int
    user: str
    link: Link | None

    def attach(self) -> m.Attach | None:
        """Return how to attach it now, None if it is not to be attached."""
        ...

    def attached(self, cursor: int) -> None:
        """The host serves it."""
        ...

    def deliver(self, entries: list[Any], last: int) -> None:
        """Entries came."""
        ...

    def drained(self, cursor: int) -> None:
        """The backlog is through."""
        ...

    def missed(self) -> None:
        """Entries after the cursor were swept."""
        ...

    def end(self, code: str, detail: str) -> None:
        """The host ends it."""
        ...

    def typing(self, sender_name: str, state: Any) -> None:
        """Somebody is typing."""
        ...


class _Moved(Exception):  # noqa: N818 -- an event, not an error
    """The question must be asked again elsewhere."""


class HostLinks:
    """All links of a gateway.

    Attributes:
        view: The newest map, None before the first.
        reattached: How many times a stream was attached again.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self.view: ShardMap | None = None
        self.reattached = 0
        self._me = ("gateway", name)
        self._secret = secret
        self._links: dict[str, Link] = {}
        self._hosts: dict[Link, str] = {}
        self._lost: dict[Link, asyncio.Event] = {}
        self._tasks: dict[str, tuple[tuple[Address, str], asyncio.Task[None]]] = {}
        self._streams: dict[int, Streamed] = {}
        self._calls: dict[int, tuple[asyncio.Future[m.Answer], Link, int]] = {}
        self._numbers = itertools.count(1)
        self._stream_numbers = itertools.count(1)
        self._presence: Callable[[m.PresenceTo], None] = lambda _: None
        self._linked: Callable[[str], None] = lambda _: None
        self._backlogs: Callable[[str, m.Backlogs], None] = lambda *_: None
        self._again: asyncio.TimerHandle | None = None
        self._handlers: dict[type, Callable[[Link, Any], None]] = {
            m.Deliver: self._deliver,
            m.Reply: self._reply,
            m.Attached: self._attached,
            m.Drained: self._drained,
            m.Missed: self._missed,
            m.Close: self._close,
            m.TypingTo: self._typing,
            m.PresenceTo: lambda _, message: self._presence(message),
            m.Backlogs: lambda link, message: self._backlogs(self._hosts.get(link, ""), message),
            m.NotMine: self._not_mine,
        }

    def on_presence(self, presence: Callable[[m.PresenceTo], None], linked: Callable[[str], None]) -> None:
        """Set who takes presence, and who is told that a host's link is new (it knows no watchers)."""
        self._presence, self._linked = presence, linked

    def on_backlogs(self, heard: Callable[[str, m.Backlogs], None]) -> None:
        """Set who is told how far hosts, by name, are."""
        self._backlogs = heard

    # --- the map ---

    def apply(self, view: ShardMap) -> None:
        """Take the newest map: connect to new lives of hosts, move streams of moved shards."""
        if self.view is not None and view.version < self.view.version:
            return
        if view.renumbered(self.view):
            self._part()
        self.view = view
        for name in list(self._tasks):
            if self._tasks[name][0] != _life(view, name):
                self._drop(name)
        for name in view.addresses:
            if name not in self._tasks:
                self._reach(name, (view.addresses[name], view.incarnations.get(name, "")))
        for name, link in self._links.items():
            self._tell_since(name, link)
        self._place()

    def host_of(self, user: str) -> str:
        """Return the name of the host that serves the user, '' before the first map."""
        return "" if self.view is None else self.view.hosts[shard_of(user, self.view.shards)]

    def linked(self) -> tuple[int, int]:
        """Return how many hosts are linked, and how many there are."""
        return len(self._links), len(self.view.addresses) if self.view else 0

    @property
    def streams(self) -> int:
        """Number of streams."""
        return len(self._streams)

    # --- streams ---

    def number(self) -> int:
        """Return a number for a new stream."""
        return next(self._stream_numbers)

    def add(self, stream: Streamed) -> None:
        """Attach a stream now, or as soon as its host is there."""
        self._streams[stream.number] = stream
        self._attach(stream)

    def remove(self, stream: Streamed) -> None:
        """The stream is gone."""
        if self._streams.pop(stream.number, None) is not None and stream.link is not None:
            stream.link.send(m.Detach(stream.number))
            stream.link = None

    def tell(self, user: str, message: Any) -> bool:
        """Send a message to the user's host; False if there is no link to it."""
        link = self._links.get(self.host_of(user))
        if link is None or link.congested:
            return False
        link.send(message)
        return True

    # --- questions ---

    async def ask(self, user: str, question: m.Question, timeout_s: float = _ASK_S) -> m.Answer:
        """Ask the user's host, again and elsewhere if need be, until the time is up.

        Raises:
            RoostError: What the host refused with.
            Unavailable: No answer in time, and whether it took effect is unknown; or too many wait for one.
        """
        if len(self._calls) >= _QUESTIONS:
            raise Unavailable("Too many questions wait for an answer; try again.")
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + timeout_s
        patience_ms = question.wait_ms if isinstance(question, m.Sync) else 0
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    link = self._links.get(self.host_of(user))
                    if link is None or link.congested:
                        await asyncio.sleep(_AGAIN_S)
                        continue
                    if isinstance(question, m.Sync):  # who is asked later waits for less
                        question.wait_ms = max(0, patience_ms - int((loop.time() - began) * 1000))
                    try:
                        answer = await self._ask(link, user, question)
                    except _Moved:
                        await asyncio.sleep(_AGAIN_S / 4)
                        continue
                    break
        except TimeoutError as exc:
            raise Unavailable("The part that serves this user does not answer; try again.") from exc
        if isinstance(answer, m.Refusal):
            later = 1.0 if answer.code in ("unavailable", "going_away") else None
            raise RoostError(answer.code, answer.detail, retry_after_s=later)
        return answer

    async def _ask(self, link: Link, user: str, question: m.Question) -> m.Answer:
        assert self.view is not None  # noqa: S101 -- there is a link, so there is a map
        if isinstance(question, m.Unstored) and link.protocol < _SINCE_PROTOCOL:
            return m.InMemory([], [])  # a host of the release before: its last second is not seen
        number = next(self._numbers)
        future: asyncio.Future[m.Answer] = asyncio.get_running_loop().create_future()
        self._calls[number] = (future, link, shard_of(user, self.view.shards))
        question.call = number
        link.send(question)
        try:
            return await future
        finally:
            self._calls.pop(number, None)

    async def close(self) -> None:
        """Disconnect from everybody."""
        if self._again is not None:
            self._again.cancel()
        tasks = [task for _, task in self._tasks.values()]
        for name in list(self._tasks):
            self._drop(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- actors.rpc.link.Handler ---

    def opened(self, link: Link) -> None:
        """Wait for the name: `_keep` knows which host this is."""

    def received(self, link: Link, messages: list[Any]) -> None:
        """Hand each message to the one it is for."""
        handlers = self._handlers
        for message in messages:
            handlers[type(message)](link, message)

    def closed(self, link: Link) -> None:
        """Questions move on, streams wait for the next link."""
        name = self._hosts.pop(link, None)
        lost = self._lost.pop(link, None)
        if lost is not None:
            lost.set()
        if name is not None and self._links.get(name) is link:
            del self._links[name]
        for future, asked, _ in self._calls.values():
            if asked is link and not future.done():
                future.set_exception(_Moved())
        for stream in self._streams.values():
            if stream.link is link:
                stream.link = None

    # --- messages ---

    def _stream(self, link: Link, number: int) -> Streamed | None:
        stream = self._streams.get(number)
        return stream if stream is not None and stream.link is link else None

    def _deliver(self, link: Link, message: m.Deliver) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.deliver(message.entries, message.last)

    def _attached(self, link: Link, message: m.Attached) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.attached(message.cursor)

    def _drained(self, link: Link, message: m.Drained) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.drained(message.cursor)

    def _missed(self, link: Link, message: m.Missed) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.missed()

    def _close(self, link: Link, message: m.Close) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.end(message.code, message.detail)

    def _typing(self, link: Link, message: m.TypingTo) -> None:
        stream = self._stream(link, message.stream)
        if stream is not None:
            stream.typing(message.sender_name, message.state)

    def _reply(self, _link: Link, message: m.Reply) -> None:
        call = self._calls.get(message.call)
        if call is not None and not call[0].done():
            call[0].set_result(message.answer)

    def _not_mine(self, link: Link, message: m.NotMine) -> None:
        for future, asked, shard in self._calls.values():
            if asked is link and message.shard in (shard, -1) and not future.done():
                future.set_exception(_Moved())
        shards = self.view.shards if self.view else 1
        for stream in self._streams.values():
            if stream.link is link and message.shard in (shard_of(stream.user, shards), -1):
                # It may have been said before the host took this stream, and the stream may end meanwhile.
                link.send(m.Detach(stream.number))
                stream.link = None
        # The new map is on its way to us, or ours is newer and on its way to the host.
        self._place_soon()

    # --- placement ---

    def _part(self) -> None:
        """There are more shards, so a user's may be another one: attach and ask everything anew."""
        for future, _, _ in self._calls.values():
            if not future.done():
                future.set_exception(_Moved())
        for stream in self._streams.values():
            if stream.link is not None:
                stream.link.send(m.Detach(stream.number))
                stream.link = None
        self._place_soon()

    def _tell_since(self, name: str, link: Link) -> None:
        """Let a host know, before what goes by this map, since when it has its shards by it.

        It may not have the map yet, nor have heard that a shard went elsewhere and came back.
        """
        shards = {} if self.view is None else self.view.since_of(name)
        if shards and link.protocol >= _SINCE_PROTOCOL:
            link.send(m.Since(shards))

    def _place_soon(self) -> None:
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(_ATTACH_AGAIN_S, self._place_again)

    def _place_again(self) -> None:
        self._again = None
        self._place()
        for name in list(self._links):
            self._linked(name)

    def _place(self, only: Iterable[Streamed] | None = None) -> None:
        for stream in list(self._streams.values() if only is None else only):
            link = self._links.get(self.host_of(stream.user))
            if stream.link is not None and stream.link is not link:
                stream.link.send(m.Detach(stream.number))
                stream.link = None
            if stream.link is None and link is not None:
                self._attach(stream)

    def _attach(self, stream: Streamed) -> None:
        link = self._links.get(self.host_of(stream.user))
        if link is None:
            return
        # A new number each time: what is under way to an earlier attachment is not taken for this one's.
        del self._streams[stream.number]
        stream.number = self.number()
        self._streams[stream.number] = stream
        message = stream.attach()
        if message is not None:
            stream.link = link
            self.reattached += message.resume
            link.send(message)

    def _drop(self, name: str) -> None:
        _, task = self._tasks.pop(name)
        task.cancel()
        link = self._links.pop(name, None)
        if link is not None:
            link.close()
            self.closed(link)

    def _reach(self, name: str, life: tuple[Address, str]) -> None:
        self._tasks[name] = (life, asyncio.create_task(self._keep(name, life[0])))

    def _reached(self, name: str, link: Link) -> None:
        self._links[name], self._hosts[link] = link, name
        self._tell_since(name, link)
        self._linked(name)
        self._place()

    async def _keep(self, name: str, address: Address) -> None:
        pause = _BACKOFF_FIRST_S
        while True:
            try:
                link = await connect(address, self, m.decode_from_host, secret=self._secret, me=self._me)
            except (OSError, TimeoutError) as exc:
                log.debug("host_away", host=name, address=address, error=str(exc))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _BACKOFF_MAX_S)
                continue
            pause = _BACKOFF_FIRST_S
            log.info("host_linked", host=name, address=address)
            self._reached(name, link)
            if link.alive:
                self._lost[link] = asyncio.Event()
                await self._lost[link].wait()
            log.info("host_link_lost", host=name)


def _life(view: ShardMap, name: str) -> tuple[Address, str] | None:
    address = view.addresses.get(name)
    return None if address is None else (address, view.incarnations.get(name, ""))
