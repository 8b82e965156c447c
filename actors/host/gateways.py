"""What gateways say to a host: streams, and questions that get one answer."""

import asyncio
from collections.abc import Callable

from actors import events as ev
from actors import messages as msg
from actors.host.state import HostState
from actors.link import Link
from actors.outlets import StreamKey
from roost.ids import shard_of


class FromGateways(HostState):
    """Streams, watches and questions of the users who are here."""

    def _for_user(self, link: Link, user: str, call: Callable[[], None]) -> bool:
        """Run the call when the user's shard is here and has caught up; say if it is not ours."""
        number = shard_of(user, self._view.shards) if self._view is not None else -1
        shard = self._shards.get(number)
        if shard is None:
            link.send(msg.NotMine(number, self._view.version if self._view is not None else 0))
            return False
        if shard.ready:
            call()
        else:
            shard.waiting.append(call)
        return True

    def _attach(self, link: Link, attach: msg.Attach) -> None:
        def call() -> None:
            number = self._outlets.open_stream(link, attach.stream, attach.user, attach.device)
            event = ev.StreamAttached(
                number, attach.device, attach.cursor, attach.acked, attach.background, attach.resume
            )
            self._post(attach.user, event)
            if attach.acked:
                self._outlets.acked(attach.user, attach.device, attach.acked, None)
                self._post(attach.user, ev.Acked(attach.device, attach.acked, number))

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
            self._outlets.acked(stream.user, stream.device, ack.seq, stream)
            self._post(stream.user, ev.Acked(stream.device, ack.seq, stream.number))

    def _typing(self, _link: Link, typing: msg.Typing) -> None:
        resident = self._residents.get(typing.to)
        if resident is not None:  # nobody is attached to a user who is not here
            self._post(typing.to, ev.TypingHeard(typing.sender, typing.sender_name, typing.state))

    def _watch(self, link: Link, watch: msg.Watch) -> None:
        for user in watch.users:
            self._for_user(link, user, lambda user=user: self._watched(link, watch.watcher, user))  # type: ignore[misc]

    def _watched(self, link: Link, watcher: str, user: str) -> None:
        self._outlets.watch(link, watcher, user)
        self._post(user, ev.Watched(watcher))

    def _unwatch(self, link: Link, unwatch: msg.Unwatch) -> None:
        for user in unwatch.users:
            if self._outlets.unwatch(link, unwatch.watcher, user):
                self._post(user, ev.Unwatched(unwatch.watcher))

    def _question(self, link: Link, question: msg.Question) -> None:
        token = (link, question.call)

        def call() -> None:
            if isinstance(question, msg.AckUpTo):
                self._outlets.acked(question.user, question.device, question.seq, None)
            if isinstance(question, msg.Refresh):
                self._spawn(self._refresh(question.user, token))
            else:
                self._post(question.user, self._outlets.event_of(question, token))

        self._for_user(link, question.user, call)

    async def _refresh(self, user: str, token: object) -> None:
        accounts, devices = await asyncio.gather(
            self._store.users_by_id([user]), self._store.devices_of([user])
        )
        if user in accounts and user in self._residents:
            self._post(user, ev.Refreshed(token, accounts[user], tuple(devices.get(user, ()))))
        else:
            self._activation.outdate(lambda each: each == user)
            self._answered(token)
