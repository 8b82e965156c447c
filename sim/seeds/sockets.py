"""A WebSocket of the run: frames of both ways, and the real rules of a stream between them."""

from typing import TYPE_CHECKING, Any

from msgspec import Raw

from actors import messages as m
from actors.link import Link
from api import session as rules
from api.outgoing import Outcome, Outgoing, SentIds
from api.tokens import Principal
from roost import wire
from roost.errors import RoostError, Unavailable
from sim.seeds.turns import Fate
from storage.ports import Accepted

if TYPE_CHECKING:
    from sim.seeds.gateways import Gateway

CODEC = wire.MsgpackCodec()


class Socket:
    """One WebSocket: frames of both ways, and the stream's rules at its gateway.

    Attributes:
        up: Client's frames that the gateway has not read.
        down: Server's frames that the client has not read; ``None`` at the end: closed.
        left: The client is gone, the gateway has not noticed.
    """

    def __init__(self, gateway: "Gateway", principal: Principal, number: int) -> None:
        self.gateway = gateway
        self.number = number
        self.principal = principal
        self.up: list[bytes] = []
        self.down: list[bytes | rules.Shut] = []
        self._ids = SentIds()
        self.left = self.ended = False
        self.link: Link | None = None
        self.user = principal.user
        self.session = rules.Session(
            CODEC, lambda _: principal, lambda *_: 0.0, now_ms=gateway.clock(), spread_ms=0
        )

    def read(self, fate: Fate) -> bool:
        """Let the gateway read one frame, or find that the client is gone."""
        if self.ended:
            return False
        if not self.up:
            if self.left:
                self._gone()
            return self.left
        self.gateway.writer.fate = fate
        self.perform(self.session.receive(self.up.pop(0), self.gateway.clock()))
        self.gateway.writer.fate = "done"
        return True

    def perform(self, actions: list[rules.Action]) -> None:
        """Do what the rules decided."""
        for action in actions:
            match action:
                case rules.Emit(frame=frame):
                    self.down.append(CODEC.encode(frame))
                case rules.Shut():
                    self.down.append(action)
                    self._gone()
                case rules.Open():
                    self.gateway.hosts.add(self)
                case rules.Submit(frame=frame):
                    self._submit(frame)
                case rules.Acknowledge(seq=seq):
                    if self.link is not None:
                        self.link.send(m.Ack(self.number, seq))
                case rules.MarkRead(peer=peer, seq=seq):
                    self._mark_read(peer, seq)
                case _:
                    continue

    def _submit(self, frame: wire.Send) -> None:
        def answer(outcome: Outcome) -> None:
            if isinstance(outcome, Accepted):
                self.perform(self.session.answered(frame.id, outcome.seq, outcome.accepted_at_ms))
            else:
                self.perform(self.session.refused(frame.id, outcome))

        self.gateway.sender.accept(Outgoing(self.principal, frame, answer, ids=self._ids))

    def _mark_read(self, peer: str, seq: int) -> None:
        def replied(answer: m.Answer | None) -> None:
            if isinstance(answer, m.Refusal):
                self.perform(self.session.failed("read", RoostError(answer.code, answer.detail)))
            elif answer is None:
                self.perform(self.session.failed("read", Unavailable("The host is away.")))

        self.gateway.ask(
            self.user, lambda call: m.ReadUpTo(call, self.user, self.user, peer, peer, seq), replied
        )

    def _gone(self) -> None:
        self.ended = True
        self.gateway.hosts.remove(self)

    # --- from the host, as `api.socket.Stream` ---

    def attach(self) -> m.Attach | None:
        """Return how to attach: as new, or where the socket stands."""
        rule = self.session
        if rule.principal is None or rule.closed:
            return None
        cursor = rule.top if rule.ready else rule.cursor
        who = rule.principal
        return m.Attach(
            self.number, who.user, who.username, who.device, cursor, rule.acked, rule.background, rule.ready
        )

    def attached(self, cursor: int) -> None:
        """The host serves it."""
        self.perform(self.session.attached(cursor, self.gateway.clock()))

    def deliver(self, entries: list[Raw], last: int) -> None:
        """Entries came."""
        self.perform(self.session.deliver(entries, last))

    def drained(self, cursor: int) -> None:
        """The backlog is through."""
        self.perform(self.session.drained(cursor))

    def missed(self) -> None:
        """Entries after the cursor were swept."""
        self.perform(self.session.missed())

    def end(self, code: str, detail: str) -> None:
        """End the stream."""
        self.perform(self.session.end(code, detail))

    def typing(self, _sender_name: str, _state: Any) -> None:
        """Nobody types here."""
