"""The queue of sends: collected from all sockets and HTTP calls, and accepted in rounds.

A device has one round in progress at most, which keeps its order; other devices' rounds overtake it
freely. An item that needs a look-up which can take long goes on in a round of its device's own.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from time import monotonic

import structlog

from api.identity.tokens import Principal
from api.sending.acceptance import Acceptance
from api.sending.admission import Reason
from api.sending.gate import Gate
from api.sending.send_request import Outcome, SendRequest
from roost import wire
from roost.errors import RoostError, Unavailable
from roost.tasks import BackgroundTasks
from storage.ports import Accepted
from telemetry import traces

ROUNDS = 4
"""Rounds in progress at once."""

_BUSY = 128
_REST_S_PER_ITEM = 0.0001
_REST_S_AT_MOST = 0.02
_ROUND_ITEMS = 1_000

log = structlog.get_logger(__name__)


class Sender:
    """The way into the log, of one gateway.

    Attributes:
        gate: Who may come in.
    """

    def __init__(self, gate: Gate, acceptance: Acceptance) -> None:
        self.gate = gate
        self.gate.on_look(self._sweep)
        self._acceptance = acceptance
        self._waiting: dict[str, deque[SendRequest]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()
        self._rounds = BackgroundTasks()
        self._quick = 0
        self._scheduled = False
        self._rest_s = 0.0

    def submit(self, item: SendRequest) -> None:
        """Take a send; it is answered by its ``reply``."""
        item.arrived_s = monotonic()
        refused = self.gate.let_in(item)
        if refused is not None:
            item.answer(refused)
            return
        if traces.tracer is not None:
            traces.tracer.begin(traces.ACCEPT, item.key)
        device = item.principal.device
        queue = self._waiting.get(device)
        if queue is None:
            queue = self._waiting[device] = deque()
        queue.append(item)
        if device not in self._busy:
            self._ready[device] = None
        self._schedule()

    async def send(self, principal: Principal, frame: wire.Send) -> Accepted:
        """Send one message and wait for its number; raises what it was refused with."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.submit(SendRequest(principal, frame, lambda outcome: _settle(future, outcome)))
        outcome = await future
        if isinstance(outcome, RoostError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Wait for the rounds in progress."""
        await self._rounds.wait()
        self.gate.close()

    @property
    def oldest_s(self) -> float:
        """How long the send has waited that waits longest for its round, in seconds."""
        arrived = min((queue[0].arrived_s for queue in self._waiting.values()), default=None)
        return 0.0 if arrived is None else monotonic() - arrived

    def _sweep(self, now_s: float) -> None:
        """Refuse what waits too long for its turn, and what its device sent behind it."""
        longest_s = self.gate.admission.queue_s()
        for device in [d for d, queue in self._waiting.items() if now_s - queue[0].arrived_s > longest_s]:
            self._shed(device, "queue")

    def _shed(self, device: str, reason: Reason) -> None:
        waiting = self._waiting.pop(device, ())
        self._ready.pop(device, None)
        error = self.gate.refuse(device, reason, len(waiting))
        for item in waiting:
            item.answer(error)

    # --- rounds ---

    def _schedule(self) -> None:
        # At the end of this turn of the loop, or a little later under load: what else arrives until
        # then joins the same round.
        if not self._scheduled and self._ready and self._quick < ROUNDS:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self._rest_s, self._start)

    def _start(self) -> None:
        self._scheduled = False
        if self._quick >= ROUNDS or not self._ready:
            return
        items: list[SendRequest] = []
        while self._ready and len(items) < _ROUND_ITEMS:
            device, _ = self._ready.popitem(last=False)
            self._busy.add(device)
            items.extend(self._waiting.pop(device))
        self._quick += 1
        self._rest_s = min(_REST_S_AT_MOST, max(0, len(items) - _BUSY) * _REST_S_PER_ITEM)
        self._rounds.spawn(self._round(items))
        self._schedule()

    async def _round(self, items: list[SendRequest]) -> None:
        slow: list[SendRequest] = []
        try:
            quick, slow = await self._acceptance.divide(items)
            await self._acceptance.accept(quick)
        except Exception:
            log.exception("round_failed", items=len(items))
        finally:
            self._quick -= 1
            later = {item.principal.device for item in slow}
            self._finish([item for item in items if item.principal.device not in later])
        if slow:
            of_slow = [item for item in items if item.principal.device in later]
            self._rounds.spawn(self._slow_round(of_slow, slow))

    async def _slow_round(self, items: list[SendRequest], slow: list[SendRequest]) -> None:
        try:
            await self._acceptance.accept(await self._acceptance.look_up(slow))
        except Exception as exc:  # noqa: BLE001 -- whatever it was, the senders are told to try again
            log.warning("slow_round_failed", items=len(items), error=repr(exc))
        finally:
            self._finish(items)

    def _finish(self, items: Sequence[SendRequest]) -> None:
        for item in items:
            item.answer(Unavailable("The message could not be accepted; send it again."))
        for device in {item.principal.device for item in items if item.refused}:
            self._shed(device, "log")
        for device in {item.principal.device for item in items}:
            self._busy.discard(device)
            if device in self._waiting:
                self._ready[device] = None
        self._schedule()


def _settle(future: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
