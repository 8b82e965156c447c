"""What gateways say to a host: streams, and questions that get one answer."""

import asyncio
from collections.abc import Callable

from actors.host.effect_executor import StreamInfo, StreamKey
from actors.host.state import HostState
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.user import events as ev
from roost.ids import shard_of
from storage.records import encode_record


class FromGateways(HostState):
    """Streams, watches and questions of the users who are here."""

    def _for_user(self, link: Link, user: str, call: Callable[[], None]) -> bool:
        """Run the call when the user's shard is here and has caught up; say if it is not ours."""
        if self._shard_of(user) is None:
            number = shard_of(user, self._view.shards) if self._view is not None else -1
            link.send(msg.NotMine(number, self._view.version if self._view is not None else 0))
            return False
        self._in_turn(user, call)
        return True

    def _in_turn(self, user: str, call: Callable[[], None]) -> None:
        """Run the call after those that wait for the user's shard to catch up, if any do."""
        shard = self._shard_of(user)
        if shard is None or shard.ready:
            call()
        else:
            shard.waiting.append(call)

    def _attach(self, link: Link, attach: msg.Attach) -> None:
        key = StreamKey(link, attach.stream)

        def call() -> None:
            stream = self._outlets.stream(key)
            if stream is None or stream.number != number:
                return  # it went while it waited
            event = ev.StreamAttached(
                number, attach.device, attach.cursor, attach.acked, attach.background, attach.resume
            )
            self._post(attach.user, event)
            if attach.acked:
                self._outlets.acked(attach.user, attach.device, attach.acked, None)
                self._post(attach.user, ev.Acked(attach.device, attach.acked, number))

        if self._shard_of(attach.user) is not None:
            # Known from now on, so that what comes after it finds it.
            number = self._outlets.open_stream(key, attach.user, attach.device)
        self._for_user(link, attach.user, call)

    def _detached(self, link: Link, message: msg.Detach) -> None:
        self._detach(StreamKey(link, message.stream))

    def _detach(self, key: StreamKey) -> None:
        stream = self._outlets.close_stream(key)
        if stream is not None:
            self._post(stream.user, ev.StreamDetached(stream.number))

    def _ack(self, link: Link, ack: msg.Ack) -> None:
        stream = self._outlets.stream(StreamKey(link, ack.stream))
        if stream is not None:
            self._in_turn(stream.user, lambda: self._acked(stream, ack.seq))

    def _acked(self, stream: StreamInfo, seq: int) -> None:
        self._outlets.acked(stream.user, stream.device, seq, stream)
        self._post(stream.user, ev.Acked(stream.device, seq, stream.number))

    def _typing(self, _link: Link, typing: msg.Typing) -> None:
        resident = self._residents.get(typing.to)
        if resident is not None:  # nobody is attached to a user who is not here
            self._post(typing.to, ev.TypingHeard(typing.sender, typing.sender_name, typing.state))

    def _watch(self, link: Link, watch: msg.Watch) -> None:
        for user in watch.users:
            self._for_user(link, user, lambda user=user: self._watched(link, watch.watcher, user))  # type: ignore[misc]

    def _watched(self, link: Link, watcher: str, user: str) -> None:
        if link in self._gateways:  # it may have gone while this waited
            self._outlets.watch(link, watcher, user)
            self._post(user, ev.Watched(watcher))

    def _unwatch(self, link: Link, unwatch: msg.Unwatch) -> None:
        for user in unwatch.users:
            self._in_turn(user, lambda user=user: self._unwatched(link, unwatch.watcher, user))  # type: ignore[misc]

    def _unwatched(self, link: Link, watcher: str, user: str) -> None:
        if self._outlets.unwatch(link, watcher, user):
            self._post(user, ev.Unwatched(watcher))

    def _question(self, link: Link, question: msg.Question) -> None:
        token = (link, question.call)

        def call() -> None:
            if isinstance(question, msg.AckUpTo):
                self._outlets.acked(question.user, question.device, question.seq, None)
            if isinstance(question, msg.Refresh):
                self._spawn(self._refresh(question.user, token))
            elif isinstance(question, msg.Unstored):
                self._outlets.answer(token, self._in_memory(question.user))
            else:
                self._post(question.user, self._outlets.event_of(question, token))

        self._for_user(link, question.user, call)

    def _in_memory(self, user: str) -> msg.InMemory:
        """Return what of the user is not stored. Who is not here has nothing in memory."""
        resident = self._residents.get(user)
        items = []
        if resident is not None and resident.actor is not None:
            items = resident.actor.unstored(resident.shard.stored_seq)
        entries = [(item.seq, encode_record(item.record)) for item in items]
        return msg.InMemory(entries, self._writer.pending([user])[user].rows)

    async def _refresh(self, user: str, token: object) -> None:
        accounts, devices = await asyncio.gather(
            self._store.accounts.users_by_id([user]), self._store.accounts.devices_of([user])
        )
        if user in accounts and user in self._residents:
            self._post(user, ev.Refreshed(token, accounts[user], tuple(devices.get(user, ()))))
        else:
            self._activation.outdate(lambda each: each == user)
            self._answered(token)
