"""The engine of a client: performs the core's effects and reports back what came of them.

A client has three tasks (connection, writer, requests), however many messages it carries.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from msgspec import structs

from roost.client import events
from roost.client.content import Attachment, File, ReadUpTo, encode, read
from roost.client.core import Session
from roost.client.core.directory import Directory
from roost.client.effects import (
    Check,
    Effect,
    Refill,
    Reissue,
    Renew,
    Requery,
    Resync,
    Seal,
    Take,
    Tell,
    Write,
)
from roost.client.keystore import Keystore
from roost.client.options import Options
from roost.client.own_identity import OwnIdentityKeeper
from roost.client.shell.app_queue import AppQueue
from roost.client.shell.connection import Connection
from roost.client.shell.deliveries import Deliveries
from roost.client.shell.exchange import Exchange
from roost.client.shell.inbox import Inbox
from roost.client.shell.linking import Linker
from roost.client.shell.outgoing import Outgoing
from roost.client.shell.read_marks import ReadMarks
from roost.client.shell.recorder import Recorder
from roost.client.shell.requests import Requests
from roost.client.shell.sealing import Sealer
from roost.client.shell.transfers import Transfers
from roost.client.state import OutboxItem, Profile
from roost.client.store.history import History
from roost.client.timers import Timers
from roost.client.transport import SESSION_OVER
from roost.client.transport.http import Api
from roost.client.transport.keys import KeyCalls
from roost.crypto import SUITE, DeviceSecrets
from roost.errors import RoostError
from roost.ids import uuid7
from roost.wire import Auth, Ping

_BUSY_TICK_S = 0.2
_IDLE_TICK_S = 5.0


class Engine:
    """Runs one client's session.

    Args:
        profile: What the client keeps; changed in place.
        keystore: Where it is kept.
        api: Authenticated calls.
        options: How to behave.
        renew_fallback: Uploads another fallback key.
    """

    def __init__(
        self,
        profile: Profile,
        keystore: Keystore,
        api: Api,
        options: Options,
        renew_fallback: Callable[[], Awaitable[None]],
    ) -> None:
        self.options = options
        self.session = Session(profile.state, SUITE)
        self.directory = Directory(
            profile.server_name, profile.peers, profile.identities, hold_new=options.hold_new_devices
        )
        secrets = DeviceSecrets(profile.curve25519, profile.ed25519)
        self.sealer = Sealer(profile, secrets, self.directory)
        inbox = Inbox(self.session, self.directory, secrets, profile.username, profile.server_name)
        self.exchange = Exchange(
            profile.username, self.session, self.directory, self.sealer, inbox, self._want_keys, self
        )
        self.requests = Requests(api, profile.server_name, self, self.exchange, renew_fallback)
        self.keys = KeyCalls(api, profile.server_name)
        self.identity = OwnIdentityKeeper(profile, self.directory, self.keys, self.flushed, options.random)
        self.queue = AppQueue(options.on_event, self._taken)
        self.transfers = Transfers(api, options.random)
        self.linker = Linker(
            profile, self.directory, self.identity, self.keys, self.transfers, self.exchange, self
        )
        self.deliveries = Deliveries(profile.state.outbox)
        self._profile = profile
        self._keystore = keystore
        self._api = api
        self._recorder: Recorder | None = None
        if keystore.history is not None:
            self._recorder = Recorder(keystore.history, profile.username, profile.device_id)
        self.timers = Timers() if keystore.history is None else keystore.history.timers
        self._marks = ReadMarks(profile.username, self.directory, self._say_mark)
        self._outgoing = Outgoing(self.session, self._keep)
        self._connection = Connection(
            self.session, api, options, device_id=profile.device_id, outgoing=self._outgoing, owner=self
        )
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        api.keep = self._kept
        api.time.assume(profile.state.clock_offset_ms)
        for peer in profile.peers:
            self.session.outbox.hold(peer, 0, held=self.directory.in_doubt(peer))

    def now_ms(self) -> int:
        """Return the time on the server's clock, as far as it is known."""
        return self._api.time.now_ms()

    @property
    def history(self) -> History | None:
        """What this device has of conversations; None if its keystore keeps none."""
        return self._keystore.history

    def random(self, length: int) -> bytes:
        """Return random bytes."""
        return self.options.random(length)

    def start(self) -> None:
        """Start the tasks, once."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._connect()), asyncio.create_task(self.requests.run())]
            for task in self._tasks:
                task.add_done_callback(self._ended)
            self._tick()
            self.arm_renewal()
            if self.identity.due:
                self.requests.want_identity()

    async def stop(self) -> None:
        """Write what is due, end the tasks, and keep what there is in the end.

        Raises:
            OSError: It cannot be kept.
        """
        if self._tasks:
            with suppress(OSError):  # which the second attempt has, too
                await self.flushed()
        self._cancel()
        await self.linker.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.flushed()
        finally:
            self.queue.end()

    def flushed(self) -> asyncio.Future[None]:
        """Return a future that is done once everything so far is saved and handed to the transport."""
        return self._outgoing.flushed()

    def submit(self, item: OutboxItem) -> None:
        """Put a message into the outbox."""
        if self._recorder is not None:
            self._recorder.submitted(item)
        self.timers.told(item.to, read(item.content))
        self.apply(self.session.submit(item, self.now_ms()))
        self.arm_tick()

    def read(self, peer: str, seq: int) -> None:
        """The user has read everything from ``peer`` up to ``seq``."""
        if self._recorder is not None:
            self._recorder.read_up_to(peer, seq)
        self.apply(self.session.read(peer, seq, self.now_ms()))
        self._marks.made(peer, seq)

    def apply(self, effects: list[Effect]) -> None:  # noqa: C901, PLR0912 - a line an effect
        """Perform what the core asks for."""
        for effect in effects:
            match effect:
                case Write(frame=frame):
                    self._outgoing.add(frame)
                case Take():
                    self.exchange.take(effect)
                case Tell(event=event):
                    self.tell(event)
                case Seal():
                    self.exchange.seal(effect)
                case Check():
                    self.requests.want_check(effect)
                case Requery(peer=peer):
                    if self.directory.knows(peer) or peer == self._profile.username:
                        self.requests.want_keys(peer)
                case Resync():
                    self._connection.restart()
                case Renew():
                    self.requests.want_token(force=True)
                case Refill():
                    self.requests.want_fallback()
                case Reissue(item=item):
                    message_id = uuid7(self.now_ms(), self.options.random(10))
                    self.apply(self.session.outbox.reissued(item, message_id, self.now_ms()))
        if effects:
            self.exchange.process()
            self.flushed()

    def tell(self, event: events.Event) -> None:
        """Tell the app of an event that is no mailbox entry."""
        self._note(event)
        if not self._marks.are_of(event):
            self.queue.put(event, 0)

    async def publish_identity(self) -> None:
        """Make and publish this person's identity; a refusal that will not change is told."""
        try:
            await self.identity.ensure()
        except RoostError as exc:
            if exc.code.retry == "later" or exc.code.word in SESSION_OVER:
                raise
            self.tell(events.Refused("identity", exc.code.word, exc.detail))

    def check_answered(self, message_id: str, answer: dict[str, Any] | None) -> None:
        """Tell the outbox what the server knows of a message."""
        self.apply(self.session.outbox.checked(message_id, answer, self.now_ms()))

    def check_unanswered(self, message_id: str) -> None:
        """Tell the outbox that the check has no answer yet."""
        self.session.outbox.unchecked(message_id, self.now_ms())

    def token_refreshed(self, token: str) -> None:
        """Show the fresh token on the open socket."""
        if self.session.open:
            self._outgoing.add(Auth(token))
            self.flushed()
        self.arm_renewal()

    def session_over(self, code: str) -> None:
        """Stop for good and tell the app once: this device has to sign in again."""
        if not self._over:
            self._over = True
            self._cancel()
            self.tell(events.Disconnected(code, final=True))
            self.queue.end()

    def arm_tick(self) -> None:
        """Tick soon: there is something in the outbox."""
        if self._over:
            return
        timer = self._timers.get("tick")
        loop = asyncio.get_running_loop()
        if timer is not None and timer.when() - loop.time() > _BUSY_TICK_S:
            timer.cancel()
            self._timers["tick"] = loop.call_later(_BUSY_TICK_S, self._tick)

    def arm_renewal(self) -> None:
        """Set the timer of the next token renewal."""
        delay_s = max(1.0, (self._api.renew_at_ms() - self.options.clock()) / 1000)
        timer = self._timers.get("renew")
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers["renew"] = loop.call_later(delay_s, self.requests.want_token)

    def _keep(self) -> "asyncio.Future[None] | None":
        self._profile.state.clock_offset_ms = self._api.time.offset_ms
        return self._keystore.keep(self._profile)

    async def _kept(self) -> None:
        await asyncio.shield(self.flushed())

    def _taken(self, seq: int) -> None:
        if seq:
            self.session.taken(seq, self.now_ms())
            self.flushed()

    async def _connect(self) -> None:
        self.session_over(await self._connection.run())

    def _cancel(self) -> None:
        self.exchange.close()
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    def deliver(self, event: events.Event | None, seq: int) -> None:
        """Hand an event on, with the way to its file; what own devices say of linking is the linker's."""
        if isinstance(event, events.MessageReceived) and self.linker.received(event):
            event = None
        if isinstance(event, events.MessageReceived | events.SentElsewhere):
            event = self._understood(event)
        if event is not None:
            self._note(event)
            if self._marks.are_of(event):
                event = None
        self.queue.put(event, seq)

    def _understood(self, event: events.MessageReceived | events.SentElsewhere) -> events.Event:
        """Take in what a message says to the client itself; return it with the way to its file."""
        body = event.body
        if body is not None:
            self.timers.told(event.peer, body)
            if event.peer == self._profile.username:
                self._marks.heard(body)
        if isinstance(body, Attachment):
            return structs.replace(event, file=File(body.file, self.transfers.download))
        return event

    def _say_mark(self, mark: ReadUpTo, before: str) -> str:
        content = encode(mark)
        if self.session.outbox.replace(before, content):
            return before
        now_ms = self.now_ms()
        message_id, me = uuid7(now_ms, self.random(10)), self._profile.username
        self.submit(OutboxItem(0, message_id, me, now_ms, content, urgent=False, silent=True))
        return message_id

    def _want_keys(self, peer: str) -> None:
        self.requests.want_keys(peer)

    def _note(self, event: events.Event) -> None:
        """Have an event in the history, and those told who wait for it, before the app is."""
        if self._recorder is not None:
            self._recorder.told(event, self.now_ms())
        self.deliveries.told(event)

    def _ended(self, task: asyncio.Task[None]) -> None:
        exc = None if task.cancelled() else task.exception()
        if exc is not None:
            self.session_over("internal")
            told = {"message": "a client of roost has stopped", "exception": exc, "task": task}
            asyncio.get_running_loop().call_exception_handler(told)

    def _tick(self) -> None:
        if self._api.time.jumped() and self.session.open:
            self.apply([Write(Ping())])
        self.apply(self.session.tick(self.now_ms()))
        if self._recorder is not None and self._recorder.pass_time(self.now_ms()):
            self.flushed()
        if not self._over:
            pause = _BUSY_TICK_S if self.session.outbox.busy else _IDLE_TICK_S
            self._timers["tick"] = asyncio.get_running_loop().call_later(pause, self._tick)
