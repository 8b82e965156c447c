"""One device of a virtual user: a real client, and an app that writes into the ledger what happens to it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from roost import client as sdk
from roost.client import account
from roost.client.effects import Batch, Incoming
from roost.client.transport import PollTransport, StreamTransport, Transport
from roost.client.transport.http import Api
from roost.errors import RoostError, Unavailable
from roost.wire import MSGPACK, Ack, ClientFrame, MessageEntry, ReceiptEntry
from sim.checker import COPIES, PASSED
from sim.ledger import Kind, digest_of, now_us
from sim.people.tap import Tap
from sim.people.worker_context import WorkerContext
from sim.workload import Breakage

PASSWORD = "a password for simulations"  # noqa: S105 - of people who do not exist

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
    """

    gets = COPIES

    def __init__(self, context: WorkerContext, user: str, *, polls: bool = False, skew_ms: int = 0) -> None:
        self.context, self.user, self.polls = context, user, polls
        self.device = ""
        self.away = True
        self.unread: dict[str, int] = {}
        self.marked: dict[str, int] = {}
        self.connections = 0
        self._skew_ms = skew_ms
        self._keystore = sdk.MemoryKeystore()
        self._client: sdk.Client | None = None
        self._tap: Tap | None = None
        self._dying = False
        self._repeats = 0
        self._top = 0

    # --- life -------------------------------------------------------------------------------------

    async def register(self, *, first: bool) -> None:
        """Make the account (or sign in on a further device); the app stays closed."""
        if first:
            with contextlib.suppress(_Taken):
                await self._insist(self._account)
        self._client = await self._insist(self._sign_in)
        self.device = self._client.profile.device_id
        self._note(Kind.DEVICE, note=self.gets)
        await self.client.close()

    async def expect_pushes(self, token: str) -> None:
        """Register a push token."""
        body = {"provider": "fcm", "token": token}
        await self._insist(lambda: self.client.api.call("PUT", "/v1/devices/current/push", body))

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
        return len(self.client.profile.state.outbox)

    # --- acts -------------------------------------------------------------------------------------

    async def say(self, to: str, content: bytes) -> str:
        """Write to a user, and return the message's id."""
        item = self.client.compose(to, content)
        self._note(Kind.INTENT, peer=to, id=item.id, digest=digest_of(content))
        self.context.board.wrote(item.id)
        await self.client.submit(item)
        return item.id

    async def read_all(self) -> None:
        """Mark as read what came since the last time."""
        unread, self.unread = self.unread, {}
        for peer, seq in unread.items():
            self._note(Kind.READ, peer=peer, seq=seq)
            await self.client.mark_read(peer, seq)
            self.marked[peer] = seq

    def break_(self, how: Breakage) -> None:
        """Let something happen to the phone."""
        if how == "crash":
            self._dying = True
        elif how == "repeat":
            self._repeats = _REPEATS
        elif self._tap is not None:
            self._tap.cut(held=how == "half_open")

    async def stored(self) -> int:
        """Write into the ledger what the server has stored for this device, and return how much it is."""
        cursor, count, taken = 0, 0, self.client.profile.state.cursor or 0
        while True:
            params = {"cursor": str(cursor), "limit": "256", "wait_s": "0"}
            page = await self._insist(lambda p=params: self.client.api.call("GET", "/v1/sync", params=p))  # type: ignore[misc]
            for entry in page["entries"]:
                if entry["type"] == "message" and entry["from"] != self.user:
                    count += 1
                    self._note(Kind.STORED, peer=entry["from"], id=entry["id"], seq=entry["seq"])
                elif entry["type"] == "sent" and "payload" in entry:
                    where = {"peer": entry["to"], "id": entry["id"], "seq": entry["to_seq"]}
                    self._note(Kind.COPY_STORED, **where, note=PASSED if entry["seq"] <= taken else "")
            cursor = page["cursor"]
            if not page["more"]:
                self._note(Kind.CUT, note="audited")
                return count

    def end(self) -> None:
        """Write into the ledger how the run ends for this device."""
        settled = not self.away and not self.waiting
        self._note(Kind.CUT, note="settled" if settled else "open")

    # --- what the client tells ----------------------------------------------------------------------

    def _told(self, event: sdk.Event) -> None:
        match event:
            case sdk.MessageReceived():
                self._received(event)
            case sdk.SentElsewhere():
                self._copied(event)
            case sdk.Accepted():
                self._note(Kind.ACCEPTED, peer=event.peer, id=event.id, seq=event.seq)
                self.context.board.accepted(event.id)
            case sdk.Failed():
                self._note(Kind.FAILED, peer=event.peer, id=event.id, note=event.code)
                self.context.board.failed()
            case sdk.Undecryptable():
                self._note(Kind.UNDECRYPTABLE, peer=event.peer, id=event.id, seq=event.seq, note=event.reason)
                self.context.board.trouble(f"{self.user} cannot read {event.id}: {event.reason}")
            case sdk.Missed():
                self._note(Kind.MISSED, seq=event.upto)
                self.context.board.trouble(f"{self.user} was told that entries up to {event.upto} are gone")
            case sdk.Disconnected(code="internal", final=True) if self._dying:
                self._dying = False
                self._note(Kind.CRASHED)
                self.context.spawn(self._start_again())
            case (
                sdk.Refused()
                | sdk.Unsupported()
                | sdk.IdChanged()
                | sdk.KeyChanged(change="changed" | "invalid")
            ):
                self.context.board.trouble(f"{self.user} was told {event}")
            case sdk.Disconnected(final=True):
                self.context.board.trouble(f"{self.user} was signed out: {event.code}")

    def _received(self, event: sdk.MessageReceived) -> None:
        if event.peer == self.user:
            return  # between the user's devices: how far one of them has read
        self._note(
            Kind.RECEIVED, peer=event.peer, id=event.id, seq=event.seq, digest=digest_of(event.content)
        )
        self.context.board.received(event.id)
        if self._dying:
            raise AppDied
        self.unread[event.peer] = max(event.seq, self.unread.get(event.peer, 0))

    def _copied(self, event: sdk.SentElsewhere) -> None:
        if event.content is None and not event.reason:
            return  # there is no copy, which the ledger says, too
        digest = 0 if event.content is None else digest_of(event.content)
        self._note(Kind.COPIED, peer=event.peer, id=event.id, seq=event.seq, digest=digest, note=event.reason)
        if self._dying:
            raise AppDied

    async def _start_again(self) -> None:
        self.unread.clear()
        await self.client.close()
        if not self.away:
            await self.open()

    def _written(self, frame: ClientFrame) -> None:
        if isinstance(frame, Ack):
            self._note(Kind.TAKEN, seq=frame.seq)

    def _arrived(self, frame: Incoming) -> None:
        if not isinstance(frame, Batch):
            return
        for entry in frame.entries:
            if entry.seq <= self._top:
                continue  # sent again after a reconnect, under the same number
            self._top = entry.seq
            if isinstance(entry, MessageEntry) and entry.from_ != self.user:
                self._note(Kind.ARRIVED, peer=entry.from_, id=entry.id, seq=entry.seq)
            elif isinstance(entry, ReceiptEntry):
                self._note(Kind.DELIVERED_TOLD, peer=entry.peer, seq=entry.delivered_seq)
                self._note(Kind.READ_TOLD, peer=entry.peer, seq=entry.read_seq)

    def _twice(self) -> bool:
        self._repeats = max(0, self._repeats - 1)
        return self._repeats > 0

    # --- inside -----------------------------------------------------------------------------------

    def _note(
        self,
        kind: Kind,
        *,
        peer: str = "",
        id: str = "",  # noqa: A002 - the ledger's word
        seq: int = 0,
        digest: int = 0,
        note: str = "",
    ) -> None:
        self.context.ledger.record(
            kind,
            at_us=now_us(),
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

    async def _insist(self, call: Callable[[], Any]) -> Any:
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
