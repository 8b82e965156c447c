"""The moving part of a client: performs the core's effects and reports back what came of them.

All frames of one turn of the event loop leave together, after one save of the profile. A
client has three tasks (connection, writer, errands), however many messages it carries.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from roost.client import events
from roost.client.core.directory import Directory
from roost.client.core.session import Session
from roost.client.effects import Check, Effect, Renew, Requery, Resync, Seal, Take, Tell, Write
from roost.client.keystore import Keystore
from roost.client.shell.inbox import ASKED_AT_MOST, Inbox
from roost.client.shell.requests import Errands
from roost.client.state import OutboxItem, Profile
from roost.client.transport import PollTransport, StreamTransport, Transport, TransportClosed
from roost.client.transport.http import Api
from roost.clock import Clock, now_ms
from roost.crypto import SUITE, DeviceSecrets, Heading, seal
from roost.errors import RoostError
from roost.ids import address_of
from roost.wire import MSGPACK, Auth, ClientFrame, Hello, Ready

_FIRST_BACKOFF_S = 0.25
_LONGEST_BACKOFF_S = 30.0
_BUSY_TICK_S = 0.2
_IDLE_TICK_S = 5.0
_HANDSHAKES = 2
_READY_S = 30.0
_DISPLACED_MS = 5000
_ASK_AGAIN_S = 0.5
_OVER = frozenset({"revoked", "token_reused", "bad_credentials"})


@dataclass(frozen=True, slots=True)
class Options:
    """How a client behaves.

    Attributes:
        mode: ``stream``: WebSocket only; ``poll``: HTTP only; ``auto``: HTTP where no WebSocket gets through.
        subprotocol: How frames are written on the WebSocket.
        background: Sync without being shown online.
        device_name: Name of a new device.
        on_event: Called with each event instead of ``events()``; when it returns, the event is taken.
        transport: Makes a connection; for tests.
        clock: This machine's clock.
        random: Source of random bytes.
    """

    mode: Literal["auto", "stream", "poll"] = "auto"
    subprotocol: str = MSGPACK
    background: bool = False
    device_name: str = "roost"
    on_event: Callable[[events.Event], None] | None = None
    transport: Callable[[], Transport] | None = None
    clock: Clock = now_ms
    random: Callable[[int], bytes] = secrets.token_bytes


class Engine:
    """Runs one client's session.

    Args:
        profile: What the client keeps; changed in place.
        keystore: Where it is kept.
        api: Authenticated calls.
        options: How to behave.
    """

    def __init__(self, profile: Profile, keystore: Keystore, api: Api, options: Options) -> None:
        self.profile = profile
        self.api = api
        self.options = options
        self.session = Session(profile.state, SUITE)
        self.directory = Directory(profile.server_name, profile.peers)
        self.errands = Errands(api, profile.server_name, self)
        self.queue: deque[tuple[events.Event | None, int]] = deque()
        self.news = asyncio.Event()
        self.over: str | None = None
        self.idle = True
        self._keystore = keystore
        self._secrets = DeviceSecrets(profile.curve25519, profile.ed25519)
        self._address = address_of(profile.username, profile.server_name)
        self._inbox = Inbox(self.session, self.directory, self._secrets, self._address, profile.server_name)
        self._sealing: dict[str, list[OutboxItem]] = {}
        self._transport: Transport | None = None
        self._out: list[ClientFrame] = []
        self._flush_due: asyncio.Future[None] | None = None
        self._resync = False
        self._handshakes_failed = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        api.keep = self.save
        for peer in profile.peers:
            self.session.outbox.hold(peer, 0, held=self.directory.in_doubt(peer))

    def now_ms(self) -> int:
        """Return the time on the server's clock, as far as it is known."""
        return self.options.clock() + self.profile.state.clock_offset_ms

    def learn_clock(self, server_time_ms: int | None) -> None:
        """Take the server's word for what time it is now."""
        if server_time_ms is not None:
            self.profile.state.clock_offset_ms = server_time_ms - self.options.clock()

    def save(self) -> None:
        """Keep the profile as it is now."""
        self._keystore.save(self.profile)

    def start(self) -> None:
        """Start the tasks, once."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self.errands.run())]
            for task in self._tasks:
                task.add_done_callback(self._ended)
            self._tick()
            self._arm_renewal()

    async def stop(self) -> None:
        """Write what is due and end the tasks."""
        if self._tasks:
            self._flush()
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.save()
        self.news.set()

    def flushed(self) -> asyncio.Future[None]:
        """Return what is done when everything up to now is saved, and handed to the transport."""
        if self._flush_due is None:
            loop = asyncio.get_running_loop()
            self._flush_due = loop.create_future()
            loop.call_soon(self._flush)
        return self._flush_due

    def apply(self, effects: list[Effect]) -> None:  # noqa: C901 - a line an effect
        """Perform what the core asks for."""
        for effect in effects:
            match effect:
                case Write(frame=frame):
                    self._out.append(frame)
                case Take():
                    self._inbox.add(effect)
                case Tell(event=event):
                    self._deliver(event, 0)
                case Seal(item=item, refresh=refresh):
                    self._seal(item, refresh=refresh)
                case Check():
                    self.errands.want_check(effect)
                case Requery(peer=peer):
                    if self.directory.knows(peer):
                        self.errands.want_keys(peer)
                case Resync():
                    self._resync = True
                case Renew():
                    self.errands.want_token(force=True)
        if effects:
            self._process_inbox()
            self.flushed()

    def taken(self, seq: int) -> None:
        """The app has taken everything up to ``seq`` (0: nothing of the mailbox)."""
        if seq:
            self.session.taken(seq, self.now_ms())
            self.flushed()

    def payloads(self, item: OutboxItem) -> dict[str, bytes]:
        """Seal a message to each current device of its recipient."""
        recipient = address_of(item.to, self.profile.server_name)
        heading = Heading(self._address, self.profile.device_id, recipient, item.id, item.sent_at_ms)
        devices = self.directory.recipients(item.to)
        return {name: seal(item.content, heading, self._secrets, key) for name, key in devices.items()}

    def keys_came(self, peer: str, bundles: Mapping[str, Any]) -> None:
        """Learn a peer's devices, seal what waited for them, and open what did."""
        for change in self.directory.learn(peer, bundles):
            self._deliver(change, 0)
        doubt = self.directory.in_doubt(peer)
        waiting = self._sealing.pop(peer, [])
        if doubt:
            for item in waiting:
                self.apply(self.session.outbox.unsealable(item.id, self.now_ms()))
        self.apply(self.session.outbox.hold(peer, self.now_ms(), held=doubt))
        if not doubt:
            for item in waiting:
                self._seal_now(item)
        asked = self._inbox.asked(peer)
        if 0 < asked < ASKED_AT_MOST:
            loop = asyncio.get_running_loop()
            self._timers["keys"] = loop.call_later(_ASK_AGAIN_S * asked, self._ask_again, peer)
        else:
            self._process_inbox()
        self.flushed()

    def keys_stayed_away(self, peers: set[str]) -> None:
        """Let the outbox try again later; the inbox keeps waiting."""
        for peer in peers:
            for item in self._sealing.pop(peer, []):
                self.apply(self.session.outbox.unsealable(item.id, self.now_ms()))

    def check_came(self, message_id: str, answer: dict[str, Any] | None) -> None:
        """Tell the outbox what the server knows of a message."""
        self.apply(self.session.outbox.checked(message_id, answer, self.now_ms()))

    def check_stayed_away(self, message_id: str) -> None:
        """Tell the outbox that it does not know."""
        self.session.outbox.unchecked(message_id, self.now_ms())

    def token_came(self, token: str) -> None:
        """Show the fresh token on the open socket."""
        if self.session.open:
            self._out.append(Auth(token))
            self.flushed()
        self._arm_renewal()

    def session_over(self, code: str) -> None:
        """Stop for good, and say so once: this device has to sign in anew."""
        if self.over is not None:
            return
        self.over = code
        self._cancel()
        self._deliver(events.Disconnected(code, final=True), 0)
        self.news.set()

    def _cancel(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _seal(self, item: OutboxItem, *, refresh: bool) -> None:
        if refresh or not self.directory.recipients(item.to):
            self._sealing.setdefault(item.to, []).append(item)
            self.errands.want_keys(item.to)
        else:
            self._seal_now(item)

    def _seal_now(self, item: OutboxItem) -> None:
        try:
            payloads = self.payloads(item)
        except ValueError:
            self.apply(self.session.outbox.unsealable(item.id, self.now_ms(), "device_mismatch"))
            return
        self.apply(self.session.outbox.sealed(item.id, payloads, self.now_ms()))

    def _process_inbox(self) -> None:
        peer = self._inbox.process(self._deliver)
        if peer is not None and "keys" not in self._timers:
            self.errands.want_keys(peer)

    def _ask_again(self, peer: str) -> None:
        del self._timers["keys"]
        self.errands.want_keys(peer)

    def _deliver(self, event: events.Event | None, seq: int) -> None:
        on_event = self.options.on_event
        if on_event is not None:
            if event is not None:
                on_event(event)
            self.taken(seq)
        elif event is None and not self.queue and self.idle:
            self.taken(seq)
        else:
            self.queue.append((event, seq))
            self.news.set()

    def _flush(self) -> None:
        done, self._flush_due = self._flush_due, None
        ack = self.session.ack_due()
        if ack is not None:
            self._out.append(ack)
        frames, self._out = self._out, []
        try:
            self.save()
        except OSError as exc:
            # Nothing leaves that is not kept; whoever waits for this turn learns why.
            self._out = frames + self._out
            if done is not None and not done.done():
                done.set_exception(exc)
            return
        if self._transport is not None and frames and self.session.open:
            self._transport.write(frames)
        if done is not None and not done.done():
            done.set_result(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        exc = None if task.cancelled() else task.exception()
        if exc is not None:
            self.session_over("internal")
            told = {"message": "a client of roost has stopped", "exception": exc, "task": task}
            asyncio.get_running_loop().call_exception_handler(told)

    def _tick(self) -> None:
        self.apply(self.session.tick(self.now_ms()))
        if self.over is not None:
            return
        pause = _BUSY_TICK_S if self.session.outbox.busy else _IDLE_TICK_S
        self._timers["tick"] = asyncio.get_running_loop().call_later(pause, self._tick)

    def arm_tick(self) -> None:
        """Tick soon: there is something in the outbox."""
        if self.over is not None:
            return
        timer = self._timers.get("tick")
        loop = asyncio.get_running_loop()
        if timer is not None and timer.when() - loop.time() > _BUSY_TICK_S:
            timer.cancel()
            self._timers["tick"] = loop.call_later(_BUSY_TICK_S, self._tick)

    def _arm_renewal(self) -> None:
        delay_s = max(1.0, (self.api.renew_at_ms() - self.options.clock()) / 1000)
        timer = self._timers.get("renew")
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers["renew"] = loop.call_later(delay_s, self.errands.want_token)

    async def _run(self) -> None:
        failures = 0
        while True:
            closed, was_ready = await self._one_connection()
            failures = 0 if was_ready else failures + 1
            final = closed.final or closed.code in _OVER
            if closed.code == "cursor_invalid":
                self.session.lose_cursor()
                final = False
            if closed.code == "unauthenticated":
                final = not await self._renewed()
            if final:
                self.session_over(closed.code)
                return
            self._deliver(events.Disconnected(closed.code, final=False), 0)
            await asyncio.sleep(self._pause_s(closed, failures))

    async def _one_connection(self) -> tuple[TransportClosed, bool]:
        was_ready = False
        transport: Transport | None = None
        try:
            token = await self.api.fresh_token()
            self._resync = False
            transport = self._make_transport()
            await transport.open(Hello(token, self.session.cursor, self.options.background))
            self._transport = transport
            while True:
                async with asyncio.timeout(None if was_ready else _READY_S):
                    frames = await transport.read()
                for frame in frames:
                    if isinstance(frame, Ready):
                        was_ready = True
                        self._handshakes_failed = 0
                        self.learn_clock(frame.server_time_ms)
                    self.apply(self.session.received(frame, self.now_ms()))
                if self._resync:
                    return TransportClosed("resync", reconnect_after_ms=0), was_ready
        except TransportClosed as exc:
            self._handshakes_failed += exc.code == "handshake"
            return exc, was_ready
        except RoostError as exc:
            return TransportClosed(exc.code.word), was_ready
        except TimeoutError:
            return TransportClosed("unavailable"), was_ready
        finally:
            self._transport = None
            self._out.clear()
            self.session.closed(self.now_ms())
            if transport is not None:
                await transport.close()

    def _make_transport(self) -> Transport:
        if self.options.transport is not None:
            return self.options.transport()
        http_only = self.options.mode == "poll"
        blocked = self.options.mode == "auto" and self._handshakes_failed >= _HANDSHAKES
        if http_only or blocked:
            self._handshakes_failed = 0
            return PollTransport(self.api, self.profile.device_id, self.options.clock)
        return StreamTransport(self.api.http, self.api.server, self.options.subprotocol)

    async def _renewed(self) -> bool:
        try:
            await self.api.refresh(self.api.tokens.access)
        except RoostError as exc:
            return exc.code.retry == "later"
        self._arm_renewal()
        return True

    def _pause_s(self, closed: TransportClosed, failures: int) -> float:
        advised = closed.reconnect_after_ms
        if advised is None and closed.code == "displaced":
            advised = _DISPLACED_MS
        if closed.code == "resync":
            return 0.0
        ceiling: float = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(failures, 10))
        jitter = ceiling * int.from_bytes(self.options.random(2), "big") / 65536
        return (advised or 0) / 1000 + jitter
