"""One device of a virtual user: a real client, and an app that writes into the ledger what happens to it."""

import asyncio
import contextlib
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final

import msgspec

from roost import client as sdk
from roost.client import account
from roost.client.effects import Batch, Incoming
from roost.client.transport import PollTransport, StreamTransport, Transport
from roost.client.transport.http import Api
from roost.errors import RoostError, Unavailable
from roost.wire import MSGPACK, Accepted, Ack, ClientFrame, MessageEntry, ReceiptEntry, Rejected, Send
from sim.checker import COPIES, CURSOR
from sim.ledger import Kind, digest_of, now_us
from sim.people.tap import Tap
from sim.people.worker_context import WorkerContext
from sim.workload import Breakage

PASSWORD = "a password for simulations"  # noqa: S105 - of people who do not exist

FULL: Final = "mailbox_full"

_REPEATS = 3
_TRIES = 8
_PAUSE_S = 1.0


class AppDied(Exception):  # noqa: N818 - it is what happens, not an error of ours
    """The app of a phone ends in the middle of handling a message, as the plan wants it."""


class Phone:
    """A device.

    Attributes:
        gets: What else is to reach it than messages to the user, as the ledger has it.
        user: Whose.
        device: Its id, once it is registered.
        away: The app is closed.
        unread: Highest seq by peer that was not marked as read.
        marked: Highest seq by peer that was.
        connections: How often it connected, or tried to.
        erased: The account was deleted.
    """

    gets = COPIES

    def __init__(self, context: WorkerContext, user: str, *, polls: bool = False, skew_ms: int = 0) -> None:
        self.context, self.user, self.polls = context, user, polls
        self.device = ""
        self.away = True
        self.unread: dict[str, int] = {}
        self.marked: dict[str, int] = {}
        self.connections = 0
        self.erased = False
        self._skew_ms = skew_ms
        self._keystore = sdk.MemoryKeystore()
        self._client: sdk.Client | None = None
        self._tap: Tap | None = None
        self._dying = False
        self._repeats = 0
        self._top = 0
        self._token = ""
        self._unanswered: dict[str, tuple[str, int]] = {}

    # --- life -------------------------------------------------------------------------------------

    async def register(self, *, first: bool) -> None:
        """Make the account (or sign in on a further device); the app stays closed."""
        if first:
            with contextlib.suppress(_Taken):
                await self.insist(self._account)
        self._client = await self.insist(self._sign_in)
        self.device = self._client.profile.device_id
        self.note(Kind.DEVICE, note=self.gets)
        await self.client.close()

    async def expect_pushes(self, token: str) -> None:
        """Register a push token."""
        body = {"provider": "fcm", "token": token}
        await self.insist(lambda: self.client.api.call("PUT", "/v1/devices/current/push", body))

    async def open(self) -> None:
        """Start the app."""
        self._client = sdk.Client.resume(self._keystore, http=self.context.http, options=self._options())
        self.away = False
        await self._client.start()

    async def close(self) -> None:
        """End the app in order."""
        self.away = True
        await self.client.close()

    @property
    def client(self) -> sdk.Client:
        """The client; there is one from the registration on."""
        if self._client is None:
            raise RuntimeError(f"{self.user} is not registered")
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the app is open and has a session."""
        return not self.away and self.client.connected

    @property
    def waiting(self) -> int:
        """Messages in the outbox: not known to be delivered."""
        return 0 if self.erased else len(self.client.profile.state.outbox)

    @property
    def unsent(self) -> int:
        """Messages in the outbox that are not accepted."""
        outbox = self.client.profile.state.outbox
        return 0 if self.erased else sum(item.seq is None for item in outbox.values())

    # --- acts -------------------------------------------------------------------------------------

    async def say(self, to: str, content: bytes, expires_s: int = 0) -> str:
        """Write to a user, and return the message's id; it disappears after so many seconds, if any."""
        item = self.client.compose(to, content, expires_in_s=expires_s or None)
        note = str(expires_s) if expires_s else ""
        self.note(Kind.INTENT, peer=to, id=item.id, digest=digest_of(content), note=note)
        self.context.board.wrote(item.id)
        await self.client.submit(item)
        return item.id

    async def read_all(self) -> None:
        """Mark as read what came since the last time."""
        for peer, seq in list(self.unread.items()):
            self.note(Kind.READ, peer=peer, seq=seq)
            await self.client.mark_read(peer, seq)
            self.marked[peer] = seq
            if self.unread.get(peer) == seq:  # unless more came meanwhile
                del self.unread[peer]

    def break_(self, how: Breakage) -> None:
        """Let something happen to the phone."""
        if how == "crash":
            self._dying = True
        elif how == "repeat":
            self._repeats = _REPEATS
        elif self._tap is not None:
            self._tap.cut(held=how == "half_open")

    def end(self) -> None:
        """Write into the ledger how the run ends for this device."""
        settled = not self.away and not self.waiting
        self.note(Kind.CUT, note="settled" if settled else "open")

    # --- what the client tells ----------------------------------------------------------------------

    def _told(self, event: sdk.Event) -> None:
        match event:
            case sdk.MessageReceived():
                self._received(event)
            case sdk.SentElsewhere():
                self._copied(event)
            case sdk.Accepted() | sdk.Failed() | sdk.Expired():
                self._outcome(event)
            case sdk.Undecryptable():
                self.note(Kind.UNDECRYPTABLE, peer=event.peer, id=event.id, seq=event.seq, note=event.reason)
                self.context.board.trouble(f"{self.user} cannot read {event.id}: {event.reason}")
            case sdk.Missed():
                self.note(Kind.MISSED, seq=event.upto, note="" if event.after else CURSOR)
                if not self.context.limits.device_s:
                    self.context.board.trouble(
                        f"{self.user} was told that entries up to {event.upto} are gone"
                    )
            case sdk.Disconnected(code="internal", final=True) if self._dying:
                self._dying = False
                self.note(Kind.CRASHED)
                self.context.spawn(self._start_again())
            case (
                sdk.Refused()
                | sdk.Unsupported()
                | sdk.IdChanged()
                | sdk.KeyChanged(change="changed" | "invalid")
            ):
                self.context.board.trouble(f"{self.user} was told {event}")
            case sdk.Disconnected(final=True) if not self.erased:
                self.context.board.trouble(f"{self.user} was signed out: {event.code}")

    def _outcome(self, event: sdk.Accepted | sdk.Failed | sdk.Expired) -> None:
        """Note what became of a message that this phone sent."""
        if event.peer == self.user:
            return  # between the user's devices, as in `_received`
        match event:
            case sdk.Accepted():
                self.note(Kind.ACCEPTED, peer=event.peer, id=event.id, seq=event.seq)
                self.context.board.accepted(event.id)
            case sdk.Failed():
                self.note(Kind.FAILED, peer=event.peer, id=event.id, note=event.code)
                self.context.board.failed()
            case sdk.Expired():
                self.note(Kind.FAILED, peer=event.peer, id=event.id, note="expired")

    def _received(self, event: sdk.MessageReceived) -> None:
        if event.peer == self.user:
            return  # between the user's devices: how far one of them has read
        self.note(Kind.RECEIVED, peer=event.peer, id=event.id, seq=event.seq, digest=digest_of(event.content))
        self.context.board.received(event.id)
        if self._dying:
            raise AppDied
        self.unread[event.peer] = max(event.seq, self.unread.get(event.peer, 0))

    def _copied(self, event: sdk.SentElsewhere) -> None:
        if event.content is None and not event.reason:
            return  # there is no copy, which the ledger says, too
        digest = 0 if event.content is None else digest_of(event.content)
        self.note(Kind.COPIED, peer=event.peer, id=event.id, seq=event.seq, digest=digest, note=event.reason)
        if self._dying:
            raise AppDied

    async def _start_again(self) -> None:
        self.unread.clear()
        await self.client.close()
        if not self.away:
            await self.open()

    def _written(self, frame: ClientFrame) -> None:
        self._used()
        if isinstance(frame, Ack):
            self.note(Kind.TAKEN, seq=frame.seq)
        elif isinstance(frame, Send):
            to, sent = self._unanswered.get(frame.id, (frame.to, 0))
            self._unanswered[frame.id] = to, sent + 1

    def _answered(self, frame: Accepted | Rejected) -> None:
        to, sent = self._unanswered.pop(frame.id, ("", 0))
        if isinstance(frame, Rejected) and sent:
            self._unanswered[frame.id] = to, sent - 1
            if frame.code == FULL and to != self.user:  # its own notes are no message
                self.note(Kind.REFUSED, peer=to, id=frame.id, seq=sent - 1)

    def _used(self) -> None:
        """Note that the session was renewed since the last time, and when: as the token says."""
        token = self.client.api.tokens.access
        if token is self._token or not token:
            return
        self._token = token
        claims = token.split(".")[1]
        issued_s = msgspec.json.decode(urlsafe_b64decode(f"{claims}==="), type=dict[str, Any])["iat"]
        self.note(Kind.USED, at_us=now_us() - (self.context.clock() - issued_s * 1000) * 1000)

    def _arrived(self, frame: Incoming) -> None:
        self._used()
        if isinstance(frame, Accepted | Rejected):
            self._answered(frame)
        if not isinstance(frame, Batch):
            return
        for entry in frame.entries:
            if entry.seq <= self._top:
                continue  # sent again after a reconnect, under the same number
            self._top = entry.seq
            if isinstance(entry, MessageEntry) and entry.from_ != self.user:
                self.note(Kind.ARRIVED, peer=entry.from_, id=entry.id, seq=entry.seq)
            elif isinstance(entry, ReceiptEntry):
                self.note(Kind.DELIVERED_TOLD, peer=entry.peer, seq=entry.delivered_seq)
                self.note(Kind.READ_TOLD, peer=entry.peer, seq=entry.read_seq)

    def _twice(self) -> bool:
        self._repeats = max(0, self._repeats - 1)
        return self._repeats > 0

    # --- inside -----------------------------------------------------------------------------------

    def note(
        self,
        kind: Kind,
        *,
        peer: str = "",
        id: str = "",  # noqa: A002 - the ledger's word
        seq: int = 0,
        digest: int = 0,
        note: str = "",
        at_us: int = 0,
    ) -> None:
        """Write into the ledger what happened, now or then."""
        self.context.ledger.record(
            kind,
            at_us=at_us or now_us(),
            user=self.user,
            device=self.device,
            peer=peer,
            id=id,
            seq=seq,
            digest=digest,
            note=note,
        )

    async def _account(self) -> None:
        api = Api(self.context.server, self.context.http, self.context.clock)
        try:
            await account.register(api, self.user, PASSWORD)
        except RoostError as exc:
            if exc.code.word != "username_taken":
                raise
            raise _Taken from exc

    async def _sign_in(self) -> sdk.Client:
        return await sdk.Client.login(
            self.context.server,
            self.user,
            PASSWORD,
            keystore=self._keystore,
            http=self.context.http,
            options=self._options(),
        )

    def _options(self) -> sdk.Options:
        return sdk.Options(
            device_name="simulated", on_event=self._told, transport=self._connect, clock=self._clock
        )

    def _clock(self) -> int:
        return self.context.clock() + self._skew_ms

    def _connect(self) -> Transport:
        inner: Transport
        if self.polls:
            inner = PollTransport(self.client.api, self.device)
        else:
            inner = StreamTransport(self.context.http, self.context.server, MSGPACK)
        self.connections += 1
        self._tap = Tap(inner, self._written, self._arrived, self._twice, self.context.keep)
        return self._tap

    async def insist(self, call: Callable[[], Any]) -> Any:
        """Ask again as long as the server says later; a reply may have been lost on the way, too."""
        for tries in range(_TRIES):
            try:
                return await call()
            except RoostError as exc:
                if exc.code.retry != "later" or tries == _TRIES - 1:
                    raise
                await asyncio.sleep(exc.retry_after_s or _PAUSE_S * (tries + 1))
        raise Unavailable("The server keeps saying later.")


class _Taken(Exception):  # noqa: N818
    """The account is there: an earlier answer was lost."""
