"""The other way to connect: entries by long poll, each frame a request (`roost.client.transport.poll`)."""

from typing import Any

from actors.rpc import questions as q
from api.identity.tokens import Principal
from api.sending.send_request import Outcome, SendRequest
from api.stream import actions as do
from api.stream.frames import rejected
from roost import wire
from roost.codes import CODES
from sim.deterministic.gateways import Gateway
from sim.deterministic.reaching import Question
from sim.deterministic.sockets import CODEC
from sim.deterministic.turns import Fate
from storage.ports import Accepted

_WAIT_MS = 25_000
_PAGE = 256
_CLOSED = 4001


class Polling:
    """One phone's requests at one gateway, with the surface of a `gateways.Socket`.

    Attributes:
        up: Requests that the gateway has not seen.
        down: Answers that the phone has not read.
        left: The phone is gone.
        ended: Nothing more comes of it.
    """

    def __init__(self, gateway: Gateway, principal: Principal) -> None:
        self.gateway = gateway
        self.up: list[bytes] = []
        self.down: list[bytes | do.Shut] = []
        self.left = self.ended = False
        self._who = principal
        self._cursor: int | None = None
        self._asked: Question | None = None
        self._ready = self._drained = False

    def read(self, fate: Fate) -> bool:
        """Let the gateway do one request."""
        if self.ended:
            return False
        if not self.up:
            if self.left:
                self._leave()
            return self.left
        self.gateway.writer.fate = fate
        frame = CODEC.decode_client(self.up.pop(0))
        match frame:
            case wire.Hello(cursor=cursor):
                self._cursor = cursor
                self._sync()
            case wire.Send():
                self._send(frame)
            case wire.Ack(seq=seq):
                self._ask(lambda call: q.AckUpTo(call, self._who.user, self._who.device, seq))
            case wire.Read(peer=peer, seq=seq):
                user = self._who.user
                self._ask(lambda call: q.ReadUpTo(call, user, user, peer, peer, seq))
            case _:
                pass
        self.gateway.writer.fate = "done"
        return True

    def _leave(self) -> None:
        """Find that the phone is gone: no one waits for the answer to its sync."""
        self.ended = True
        if self._asked is not None:
            self.gateway.hosts.drop(self._asked)

    def _emit(self, frame: wire.ServerFrame) -> None:
        self.down.append(CODEC.encode(frame))

    def _close(self, code: str) -> None:
        if not self.ended:
            self.ended = True
            self.down.append(do.Shut(CODES[code].close or _CLOSED, code))

    def _send(self, frame: wire.Send) -> None:
        def answer(outcome: Outcome) -> None:
            if isinstance(outcome, Accepted):
                self._emit(wire.Accepted(frame.id, outcome.seq, outcome.accepted_at_ms))
            else:
                self._emit(rejected(frame.id, outcome))

        self.gateway.sender.accept(SendRequest(self._who, frame, answer))

    def _ask(self, make: Any) -> None:
        def replied(answer: q.Answer | None) -> None:
            if answer is None:
                self._close("unavailable")
            elif isinstance(answer, q.Refusal):
                self._close(answer.code)

        self.gateway.ask(self._who.user, make, replied)

    def _sync(self) -> None:
        cursor, wait_ms = self._cursor, _WAIT_MS if self._drained else 0
        self._asked = self.gateway.ask(
            self._who.user,
            lambda call: q.Sync(call, self._who.user, self._who.device, cursor, _PAGE, wait_ms),
            self._page,
        )

    def _page(self, answer: q.Answer | None) -> None:
        if self.ended or self.left:
            return
        if not isinstance(answer, q.Page):
            self._close(answer.code if isinstance(answer, q.Refusal) else "unavailable")
            return
        if not self._ready:
            self._begin(answer)
        if answer.missed:
            self._emit(wire.Missed())
        if answer.entries:
            self._emit(wire.Entries(answer.entries))
            self._cursor = CODEC.decode_entry(answer.entries[-1]).seq
        last = self._cursor or 0
        if not answer.more and (answer.missed or not self._drained or answer.cursor > last):
            self._drained = True
            self._emit(wire.Drained(answer.cursor, last))
            self._cursor = answer.cursor
        self._sync()

    def _begin(self, page: q.Page) -> None:
        start = self._cursor
        if start is None:
            first = CODEC.decode_entry(page.entries[0]).prev if page.entries else page.cursor
            start = 0 if page.missed else first  # where entries are gone, neither tells the stored cursor
        self._ready = True
        self._emit(wire.Ready(self._who.device, start, self.gateway.clock()))
