"""Messages of gateways: streams, watches, and questions that get one answer."""

from collections.abc import Callable

from actors.host.links.links import Links
from actors.host.shards.table import ShardTable
from actors.host.streams.questions import answer, event_of
from actors.host.streams.streams import StreamInfo, StreamKey, Streams, Watches
from actors.host.users.loader import Loader
from actors.host.users.residents import Residents
from actors.host.writes.writer import Writer
from actors.rpc import messages as msg
from actors.rpc import questions as q
from actors.rpc.link import Link
from actors.user import events as ev
from roost.clock import Clock
from storage.records import encode_record


class GatewayMessages:
    """Turns what gateways say into events of the users who are here."""

    def __init__(
        self,
        shards: ShardTable,
        links: Links,
        residents: Residents,
        lines: tuple[Streams, Watches],
        loader: Loader,
        writer: Writer,
        clock: Clock,
    ) -> None:
        self._shards, self._links, self._residents = shards, links, residents
        self._streams, self._watches = lines
        self._loader, self._writer, self._clock = loader, writer, clock

    def closed(self, link: Link) -> None:
        """A gateway is gone, and its streams and watches with it."""
        for key in self._streams.of_link(link):
            self._detach(key)
        for watcher, user in self._watches.remove_link(link):
            self._residents.post(user, ev.Unwatched(watcher))
        for user, actor in list(self._residents.actors()):
            for token in actor.mailbox.polls:
                if isinstance(token, tuple) and token[0] is link:
                    self._residents.post(user, ev.AskerGone(token))

    def _for_user(self, link: Link, user: str, call: Callable[[], None]) -> None:
        """Make the call when the user's shard has caught up; refuse if it is not here."""
        shard = self._shards.of(user)
        if shard is None:
            self._links.refuse(link, self._shards.number_of(user))
        else:
            shard.when_ready(call)

    def _in_turn(self, user: str, call: Callable[[], None]) -> None:
        """Make the call after those that wait for the user's shard, at once if it is not here."""
        shard = self._shards.of(user)
        if shard is None:
            call()
        else:
            shard.when_ready(call)

    # --- streams ----------------------------------------------------------------------------------

    def attach(self, link: Link, attach: msg.Attach) -> None:
        """Serve a stream."""
        key = StreamKey(link, attach.stream)

        def call() -> None:
            stream = self._streams.get(key)
            if stream is None or stream.number != number:
                return  # it went while it waited
            event = ev.StreamAttached(
                number, attach.device, attach.cursor, attach.acked, attach.background, attach.resume
            )
            self._residents.post(attach.user, event)
            if attach.acked:
                self._streams.acked(attach.user, attach.device, attach.acked, None)
                self._residents.post(attach.user, ev.Acked(attach.device, attach.acked, number))

        if self._shards.of(attach.user) is not None:
            # Known from now on, so that what comes after it finds it.
            number = self._streams.open(key, attach.user, attach.device)
        self._for_user(link, attach.user, call)

    def detach(self, link: Link, message: msg.Detach) -> None:
        """A stream is gone."""
        self._detach(StreamKey(link, message.stream))

    def _detach(self, key: StreamKey) -> None:
        stream = self._streams.forget(key)
        if stream is not None:
            self._residents.post(stream.user, ev.StreamDetached(stream.number))

    def ack(self, link: Link, ack: msg.Ack) -> None:
        """A device has what came down its stream."""
        stream = self._streams.get(StreamKey(link, ack.stream))
        if stream is not None:
            self._in_turn(stream.user, lambda: self._acked(stream, ack.seq))

    def _acked(self, stream: StreamInfo, seq: int) -> None:
        self._streams.acked(stream.user, stream.device, seq, stream)
        self._residents.post(stream.user, ev.Acked(stream.device, seq, stream.number))

    def typing(self, _link: Link, typing: msg.Typing) -> None:
        """A peer is typing: of interest only to a user who is here."""
        if self._residents.get(typing.to) is not None:
            self._residents.post(typing.to, ev.TypingHeard(typing.sender, typing.sender_name, typing.state))

    # --- watches ----------------------------------------------------------------------------------

    def watch(self, link: Link, watch: msg.Watch) -> None:
        """Pass on the presence of users."""
        for user in watch.users:
            self._for_user(link, user, lambda user=user: self._watched(link, watch.watcher, user))  # type: ignore[misc]

    def _watched(self, link: Link, watcher: str, user: str) -> None:
        if link in self._links.gateways:  # it may have gone while this waited
            self._watches.add(link, watcher, user)
            self._residents.post(user, ev.Watched(watcher))

    def unwatch(self, link: Link, unwatch: msg.Unwatch) -> None:
        """Pass it on no longer."""
        for user in unwatch.users:
            self._in_turn(user, lambda user=user: self._unwatched(link, unwatch.watcher, user))  # type: ignore[misc]

    def _unwatched(self, link: Link, watcher: str, user: str) -> None:
        if self._watches.remove(link, watcher, user):
            self._residents.post(user, ev.Unwatched(watcher))

    # --- questions --------------------------------------------------------------------------------

    def question(self, link: Link, question: q.Question) -> None:
        """Answer in the end."""
        token = (link, question.call)

        def call() -> None:
            match question:
                case q.Refresh():
                    self._loader.refresh(question.user, question.renewed, token)
                case q.Unstored():
                    answer(token, self._in_memory(question.user))
                case q.SetBlock():
                    self._residents.post(question.user, self._block(question, token))
                case _:
                    if isinstance(question, q.AckUpTo):
                        self._streams.acked(question.user, question.device, question.seq, None)
                    self._residents.post(question.user, event_of(question, token, self._clock()))

        self._for_user(link, question.user, call)

    def _block(self, question: q.SetBlock, token: object) -> ev.BlockAsked:
        shard = self._shards.of(question.user)
        since = 0 if shard is None else shard.since
        return ev.BlockAsked(token, question.peer, question.peer_name, question.blocked, since)

    def gone(self, link: Link, gone: q.Gone) -> None:
        """No one waits for an answer any longer."""

        def call() -> None:
            if self._residents.get(gone.user) is not None:
                self._residents.post(gone.user, ev.AskerGone((link, gone.call)))

        self._in_turn(gone.user, call)

    def _in_memory(self, user: str) -> q.InMemory:
        """Return what of the user is not stored. Who is not here has nothing in memory."""
        resident = self._residents.get(user)
        items = []
        if resident is not None and resident.actor is not None:
            items = resident.actor.unstored(resident.shard.stored_seq)
        entries = [(item.seq, encode_record(item.record)) for item in items]
        return q.InMemory(entries, self._writer.pending([user])[user].rows)
