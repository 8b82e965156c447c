"""The people around a user: typing, blocks, presence, and changes of the account itself."""

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery import Reading
from actors.user.state import DeviceState
from storage.records import Block


class Company(Reading):
    """What others may see and do."""

    def _typing(self, event: ev.TypingHeard) -> None:
        if self._is_blocked(event.sender, self.head.handled + 1):
            return
        for stream in self.streams.values():
            if not stream.background:
                self._out.append(do.TellTyping(stream.number, event.sender_name, event.state))

    def _block(self, event: ev.BlockAsked) -> None:
        known = self.blocks.get(event.peer)
        following = self.head.handled + 1
        if event.blocked and (known is None or known.until_seq is not None):
            block = Block(self.user.user_id, event.peer, event.peer_name, following)
        elif not event.blocked and known is not None and known.until_seq is None:
            block = Block(self.user.user_id, event.peer, event.peer_name, known.since_seq, following)
        else:
            self._out.append(do.AnswerDone(event.token))
            return
        self.blocks[event.peer] = block
        self._out.append(do.PutBlock(block, event.token))
        if event.peer in self.watchers:
            self._tell_presence(event.peer)

    def _watch(self, event: ev.Watched) -> None:
        self.watchers.add(event.watcher)
        self._tell_presence(event.watcher)

    def _unwatch(self, event: ev.Unwatched) -> None:
        self.watchers.discard(event.watcher)

    def _presence_asked(self, event: ev.PresenceAsked) -> None:
        online, last_seen = self.presence.seen_by(allowed=self._visible_to(event.watcher))
        self._out.append(do.AnswerPresence(event.token, online, last_seen))

    def _time(self, _event: ev.TimePassed) -> None:
        if self.presence.expired(self._now_ms):
            self._out.append(do.PresenceChanged(online=False, at_ms=self.presence.last_seen_ms))
            for watcher in sorted(self.watchers):
                self._tell_presence(watcher)
        for poll in list(self.polls.values()):
            self._serve_poll(poll)

    def _refreshed(self, event: ev.Refreshed) -> None:
        self.user, self._devices = event.user, event.devices
        known, self.devices = self.devices, {}
        for device in event.devices:
            state = known.get(device.device) or DeviceState(device, device.from_seq)
            self.devices[device.device] = state
            state.has_keys = state.has_keys or device.keys is not None
            state.pushable = device.push_token is not None
            if device.device not in known and state.addressable:
                self._examine_head(device.device)
        for stream in [s for s in self.streams.values() if s.device not in self.devices]:
            del self.streams[stream.number]
            self._out.append(do.Close(stream.number, "revoked", "this device was removed"))
        self._out.append(do.AnswerDone(event.token))

    def _examine_head(self, device: str) -> None:
        """Find the floor of an added device: what was encrypted without it is not its to acknowledge."""
        if without := self._without(device):
            self._out.append(self._set_floor(device, max(without), 0))
