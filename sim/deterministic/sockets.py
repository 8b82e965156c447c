"""A WebSocket of the run: the real stream, whose frames wait in lists and whose loops are steps."""

from collections import Counter, deque
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, cast

from actors.rpc import questions as q
from api.identity.tokens import Principal
from api.sending.send_request import SendRequest
from api.stream import actions as do
from api.stream.requests import Requests
from api.stream.services import Displaced
from api.stream.socket import Stream
from api.stream.writer import FrameWriter
from roost import wire
from roost.errors import RoostError, Unavailable
from sim.deterministic.turns import Fate
from storage.account_rows import KeySupply

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.deterministic.gateways import Gateway

CODEC = wire.MsgpackCodec()


class Answer:
    """What a host says to a question, or ``None``: it stayed away. Awaited by what `drive` runs."""

    _go_on: "Callable[[q.Answer | None], None]"

    def __await__(self) -> Generator["Answer", q.Answer | None, q.Answer | None]:
        return (yield self)

    def then(self, go_on: "Callable[[q.Answer | None], None]") -> None:
        """Set who waits for it."""
        self._go_on = go_on

    def came(self, answer: q.Answer | None) -> None:
        """Hand it over."""
        self._go_on(answer)


def drive(work: Coroutine[Answer, q.Answer | None, None]) -> None:
    """Run a coroutine up to where it waits for an answer, and on when that has come."""

    def go_on(answer: q.Answer | None) -> None:
        try:
            waits_for = work.send(answer)
        except StopIteration:
            return
        waits_for.then(go_on)

    go_on(None)


class Services:
    """What one stream uses of its gateway's `api.stream.services.StreamServices`."""

    def __init__(self, gateway: "Gateway", principal: Principal) -> None:
        self._gateway, self._principal = gateway, principal
        self.hosts, self.clock, self.sender = gateway.hosts, gateway.clock, self
        self.signals = self.key_supplies = self
        self.ended: Counter[str] = Counter()
        self.displaced: deque[Displaced] = deque(maxlen=50)

    def known(self, _user: str, _device: str) -> KeySupply:
        """Return what is left of a device's keys: nothing is claimed here."""
        return KeySupply({}, ("signed_curve25519",))

    def verify(self, _token: str) -> Principal:
        """Return who speaks."""
        return self._principal

    def wait(self, *_: Any) -> float:
        """No limits here."""
        return 0.0

    def spread(self) -> int:
        """No chance here."""
        return 0

    def submit(self, item: SendRequest) -> None:
        """Take a send through at once."""
        self._gateway.sender.accept(item)

    async def mark_read(self, principal: Principal, peer: str, seq: int) -> None:
        """Pass on how far the user has read; ids are names here."""
        answer, user = Answer(), principal.user
        self._gateway.ask(user, lambda call: q.ReadUpTo(call, user, user, peer, peer, seq), answer.came)
        found = await answer
        if found is None:
            raise Unavailable("The host is away.")
        if isinstance(found, q.Refusal):
            raise RoostError(found.code, found.detail)


class Down(FrameWriter):
    """What goes down a socket.

    Attributes:
        frames: Server's frames that the client has not read; at the end why it was closed.
    """

    def __init__(self, *_: Any) -> None:
        self.frames: list[bytes | do.Shut] = []

    def emit(self, action: do.Emit) -> None:
        """Let the frame wait for the client."""
        self.frames.append(CODEC.encode(action.frame))

    def shut(self, action: do.Shut) -> None:
        """Let the close wait for the client."""
        self.frames.append(action)


class SteppedRequests(Requests):
    """Requests that run as far as they can at once."""

    def _spawn(self, work: Any) -> None:
        drive(work)


class Socket(Stream):
    """One WebSocket.

    Attributes:
        up: Client's frames that the gateway has not read.
        down: Server's frames that the client has not read; at the end why it was closed.
        left: The client is gone, the gateway has not noticed.
        ended: Nothing more comes of it.
    """

    writer_class = Down
    requests_class = SteppedRequests

    def __init__(self, gateway: "Gateway", principal: Principal) -> None:
        no_task = cast("Any", None)  # the loops that would receive and send are steps of the run
        super().__init__(
            cast("Any", Services(gateway, principal)), CODEC, None, no_task, no_task, lambda *_: None
        )
        self.gateway = gateway
        self.up: list[bytes] = []
        self.down = cast("Down", self._writer).frames
        self.left = self.ended = False

    def read(self, fate: Fate) -> bool:
        """Let the gateway read one frame, or find that the client is gone."""
        if self.ended:
            return False
        if not self.up:
            if self.left:
                self._leave()
            return self.left
        self.gateway.writer.fate = fate
        self.perform(self.session.receive(self.up.pop(0), self.gateway.clock()))
        self.gateway.writer.fate = "done"
        return True

    def _shut(self, action: do.Shut) -> None:
        super()._shut(action)
        self._leave()

    def _leave(self) -> None:
        self.ended = True
        self.gateway.hosts.attachments.remove(self)
