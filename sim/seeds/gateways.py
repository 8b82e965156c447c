"""A gateway of the run: the real accept path and numbering, with links and questions of its own."""

from collections.abc import Callable
from typing import Any, cast

from actors import messages as m
from actors.service import ClusterView
from api.directory import Person, person_of
from api.outgoing import Outgoing
from api.sending import Sender
from api.sequence import Sequencer
from api.tokens import Principal
from roost.clock import Clock
from roost.ids import SEQ_LIMIT, shard_of
from sim.seeds.links import End, lives
from sim.seeds.logs import PromptWriter
from sim.seeds.sockets import Socket
from sim.seeds.stores import Cache, Store
from sim.seeds.turns import finish
from storage.ports import Accepted
from storage.records import MessageRecord, decode_record

_PATIENCE_MS = 35_000

Replied = Callable[[m.Answer | None], None]
"""Takes the answer of a host; ``None``: it stayed away."""


class PromptSequencer(Sequencer):
    """Numbers records; looks for a new base once instead of for five seconds."""

    async def _settle(self, lowest: Any, before: Any) -> frozenset[int]:
        await self.resync()
        return frozenset(
            shard
            for shard, offset in lowest.items()
            if self.base_of(shard) == before[shard][0] and offset < before[shard][1]
        )


class PromptDirectory:
    """Who is who, always read anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def peek(self, username: str) -> Person | None:
        """Return the user."""
        user = self._store.users.get(username)
        return None if user is None else person_of(user, self._store.devices[username])

    async def people(self, usernames: Any) -> dict[str, Person]:
        """Return those who exist."""
        found = ((name, self.peek(name)) for name in usernames)
        return {name: person for name, person in found if person is not None}


class PromptSender(Sender):
    """The accept path; a send is a round of its own, done at once."""

    def accept(self, item: Outgoing) -> None:
        """Take one send through."""
        self._quick += 1
        finish(self._round([item]))

    def _schedule(self) -> None:
        """Nothing waits here."""

    def _spawn(self, work: Any) -> None:
        finish(work)


class Gateway:
    """One life of a gateway."""

    def __init__(self, name: str, store: Store, cache: Cache, writer: PromptWriter, clock: Clock) -> None:
        self.name, self.clock, self.writer = name, clock, writer
        self._store = store
        self._cache = cache
        self.sequencer = PromptSequencer(writer, cast("Any", store))
        directory = cast("Any", PromptDirectory(store))
        self.sender = PromptSender(cast("Any", store), cast("Any", cache), self.sequencer, directory, clock)
        self.view: ClusterView | None = None
        self.sockets: dict[int, Socket] = {}
        self.links: dict[str, End] = {}
        self._calls: dict[int, tuple[End, int, Replied, int]] = {}
        self._last = 0

    # --- the map and links, as `api.hosts.HostLinks` ---

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self.view.version if self.view is not None else 0

    def lives(self) -> list[tuple[str, str]]:
        """Return the hosts that the map names, with their lives."""
        return lives(self.view)

    def linked(self, host: str, life: str) -> bool:
        """Say whether there is a link to this life of the host."""
        known = self.links.get(host)
        return known is not None and known.alive and known.name == life

    def unlink(self, host: str) -> None:
        """Close the link to an earlier life of the host."""
        if host in self.links:
            self.links[host].close()

    def learn(self, view: ClusterView) -> None:
        """Take the map."""
        self.view = view
        self.sequencer.adopt(view.bases)
        self.place()

    def link(self, host: str, end: End) -> None:
        """Take a link to a host."""
        self.links[host] = end
        self.place()

    def host_of(self, user: str) -> str:
        """Return the host of a user's shard, '' without a map."""
        return self.view.hosts[shard_of(user, self.view.shards)] if self.view is not None else ""

    def place(self) -> bool:
        """Attach every stream where it belongs; returns whether one was moved or attached."""
        moved = False
        for socket in list(self.sockets.values()):
            link = self.links.get(self.host_of(socket.user))
            if socket.link is not None and socket.link is not link:
                socket.link.send(m.Detach(socket.number))
                socket.link = None
                moved = True
            message = socket.attachment() if socket.link is None and link is not None else None
            if message is not None and link is not None:
                socket.link = link
                link.send(message)
                moved = True
        return moved

    def closed(self, link: Any) -> None:
        """A host is gone."""
        for name in [n for n, known in self.links.items() if known is link]:
            del self.links[name]
        for socket in self.sockets.values():
            if socket.link is link:
                socket.link = None
        self._fail(link, None)

    def received(self, link: Any, messages: list[Any]) -> None:
        """Take what a host says."""
        for message in messages:
            if isinstance(message, m.Reply):
                known = self._calls.pop(message.call, None)
                if known is not None:
                    known[2](message.answer)
            elif isinstance(message, m.NotMine):
                self._not_mine(link, message.shard)
            else:
                socket = self.sockets.get(message.stream)
                if socket is not None and socket.link is link:
                    self._tell(socket, message)

    def _tell(self, socket: Socket, message: Any) -> None:
        session = socket.session
        match message:
            case m.Attached(cursor=cursor):
                socket.perform(session.attached(cursor, self.clock()))
            case m.Deliver(entries=entries, last=last):
                socket.perform(session.deliver(entries, last))
            case m.Drained(cursor=cursor):
                socket.perform(session.drained(cursor))
            case m.Missed():
                socket.perform(session.missed())
            case m.Close(code=code, detail=detail):
                socket.perform(session.end(code, detail))
            case _:
                return

    def _not_mine(self, link: End, shard: int) -> None:
        for socket in self.sockets.values():
            if socket.link is link and shard in {self._shard(socket.user), -1}:
                socket.link = None
        self._fail(link, shard)

    def _fail(self, link: End, shard: int | None) -> None:
        for call, (asked, of, replied, _) in list(self._calls.items()):
            if asked is link and shard in {of, -1, None}:
                del self._calls[call]
                replied(None)

    def _shard(self, user: str) -> int:
        return shard_of(user, self.view.shards) if self.view is not None else -1

    def ask(self, user: str, make: Callable[[int], m.Question], replied: Replied) -> None:
        """Ask the user's host."""
        link = self.links.get(self.host_of(user))
        if link is None or not link.alive:
            replied(None)
            return
        self._last += 1
        self._calls[self._last] = (link, self._shard(user), replied, self.clock() + _PATIENCE_MS)
        link.send(make(self._last))

    def tick(self) -> None:
        """Wait no longer for answers that stay away."""
        late = [call for call, known in self._calls.items() if known[3] <= self.clock()]
        for call in late:
            self._calls.pop(call)[2](None)

    # --- sockets ---

    def open(self, principal: Principal, number: int) -> Socket:
        """Take a new connection."""
        return Socket(self, principal, number)

    def attach(self, socket: Socket) -> None:
        """The stream has said hello."""
        self.sockets[socket.number] = socket
        self.place()

    def gone(self, socket: Socket) -> None:
        """The socket is closed."""
        socket.ended = True
        if self.sockets.pop(socket.number, None) is not None and socket.link is not None:
            socket.link.send(m.Detach(socket.number))

    # --- questions over HTTP ---

    def message_state(
        self,
        who: Principal,
        message_id: str,
        to: str,
        answered: Callable[[dict[str, Any] | None], None],
        away: Callable[[], None],
    ) -> None:
        """Say what became of a message, as ``GET /v1/messages/{id}`` (`api.routes.messages`)."""
        sent = (
            self.sender.recall((who.device, message_id))
            or finish(self._cache.recall([(who.device, message_id)]))[0]
        )
        if sent is None or not self._survives(to, sent.seq):
            sent = self._find(who, message_id, to) or sent
        if sent is None or not self._survives(to, sent.seq):
            answered(None)
            return
        found = sent

        def replied(answer: m.Answer | None) -> None:
            if isinstance(answer, m.Marks):
                answered(self._progress(message_id, to, found.seq, answer))
            else:
                away()

        self.ask(who.user, lambda call: m.Watermarks(call, who.user, to), replied)

    def _find(self, who: Principal, message_id: str, to: str) -> Accepted | None:
        stored = finish(self._store.find_causes(to, [message_id], SEQ_LIMIT))
        document = next((each for each in stored.values() if each.sender == who.user), None)
        if document is None:
            return None
        record = decode_record(document.record)
        at_ms = record.accepted_at_ms if isinstance(record, MessageRecord) else document.at_ms
        return Accepted(to, document.seq, at_ms, b"")

    def _survives(self, to: str, seq: int) -> bool:
        finish(self.sequencer.resync())
        return seq >= self.sequencer.base_of(self._shard(to)) or finish(self._store.exists(to, seq))

    def _progress(self, message_id: str, to: str, seq: int, marks: m.Marks) -> dict[str, Any]:
        state = "accepted"
        log = self._store.logs[self._shard(to)]
        if marks.delivered_seq >= seq:
            state = "read" if marks.read_seq >= seq else "delivered"
        elif log.base <= seq < log.base + log.stored or finish(self._store.exists(to, seq)):
            state = "stored"
        return {"id": message_id, "to": to, "seq": seq, "state": state}
