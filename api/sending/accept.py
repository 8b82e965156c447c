"""The accept path: from a checked frame to a durable record and its number.

Sends of all sockets and HTTP calls collect in one queue and are taken in rounds. A device has
one round under way at most, which keeps its order; other devices' rounds overtake it freely. An
item that needs a look-up which can take long goes on in a round of its device's own.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from time import monotonic

import structlog

from api.identity.directory import Directory
from api.identity.tokens import Principal
from api.sending.admission import Admission, Reason
from api.sending.answers import Answers
from api.sending.gate import Gate
from api.sending.send_request import (
    Outcome,
    SendRequest,
    answer_of,
    check,
    copy_of,
    matches_devices,
    record_of,
)
from api.sending.sequence import Sequencer
from roost import wire
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from roost.ids import SEQ_LIMIT, shard_of
from storage.ports import Accepted, Cache, Store
from telemetry import metrics, traces

ROUNDS = 4
"""Rounds under way at once."""

_BUSY = 128
_REST_S_PER_ITEM = 0.0001
_REST_S_AT_MOST = 0.02
_ROUND_ITEMS = 1_000
_CERTAIN_MS = 30_000
_SENT_TRIES = 3

log = structlog.get_logger(__name__)


class Sender:
    """The accept path of one gateway.

    Attributes:
        answers: What was answered lately.
        lost_copies: ``sent`` records that could not be written for the sender's own devices.
        gate: Who may come in.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        sequencer: Sequencer,
        directory: Directory,
        clock: Clock,
        admission: Admission | None = None,
    ) -> None:
        self._store = store
        self.answers = Answers(cache)
        self._sequencer = sequencer
        self._directory = directory
        self._clock = clock
        self.gate = Gate(admission or Admission(), sequencer, directory)
        self.gate.on_look(self._sweep)
        self._waiting: dict[str, deque[SendRequest]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()
        self._rounds: set[asyncio.Task[None]] = set()
        self._quick = 0
        self._scheduled = False
        self._rest_s = 0.0
        self.accepted = 0
        self.lost_copies = 0

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
        """Wait for the rounds under way."""
        while self._rounds:
            await asyncio.wait(set(self._rounds))
        await self.answers.close()
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
        self._spawn(self._round(items))
        self._schedule()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    def _finish(self, items: Sequence[SendRequest]) -> None:
        for item in items:
            item.answer(Unavailable("The message could not be accepted now; send it again."))
        for device in {item.principal.device for item in items if item.refused}:
            self._shed(device, "log")
        for device in {item.principal.device for item in items}:
            self._busy.discard(device)
            if device in self._waiting:
                self._ready[device] = None
        self._schedule()

    async def _round(self, items: list[SendRequest]) -> None:
        slow: list[SendRequest] = []
        try:
            fresh = await self._unknown(items)
            slow = _of_devices(fresh, (item for item in fresh if self._needs_lookup(item)))
            held = set(map(id, slow))
            await self._produce([item for item in fresh if id(item) not in held])
        except Exception:
            log.exception("round_failed", items=len(items))
        finally:
            self._quick -= 1
            later = {item.principal.device for item in slow}
            self._finish([item for item in items if item.principal.device not in later])
        if slow:
            self._spawn(self._slow_round([item for item in items if item.principal.device in later], slow))

    async def _slow_round(self, items: list[SendRequest], fresh: list[SendRequest]) -> None:
        try:
            await self._produce(await self._look_up(fresh))
        except Exception as exc:  # noqa: BLE001 -- whatever it was, the senders are told to try again
            log.warning("slow_round_failed", items=len(items), error=repr(exc))
        finally:
            self._finish(items)

    # --- what is known already ---

    async def _unknown(self, items: Sequence[SendRequest]) -> list[SendRequest]:
        """Check the items, answer the known ones, return those that remain, in order."""
        now = self._clock()
        checked = [item for item in items if check(item, now)]
        await self.answers.recall(checked)
        await self._forget_lost(checked)
        return [item for item in checked if not self._answer_known(item, self.answers.get(item.key))]

    async def _forget_lost(self, items: Sequence[SendRequest]) -> None:
        """Forget answers for messages that went down with an earlier log: they are to be accepted anew."""
        top = self._sequencer.top_base
        for item in items:
            known = self.answers.get(item.key)
            if known is None or known.seq >= top:
                continue
            person = (await self._directory.people([item.frame.to])).get(item.frame.to)
            if person is None or known.seq >= self._sequencer.base_of(
                shard_of(person.user, self._sequencer.shards)
            ):
                continue
            if not await self._sequencer.survives(person.user, known.seq):
                self.answers.forget(item.key)

    def _answer_known(self, item: SendRequest, known: Accepted | None) -> bool:
        if known is None:
            return False
        same = known.digest == item.digest
        item.answer(known if same else RoostError("id_reused", "Make a new id for another content."))
        return True

    def _needs_lookup(self, item: SendRequest) -> bool:
        item.person = self._directory.peek(item.frame.to)
        return item.person is None or self._is_old(item)

    def _is_old(self, item: SendRequest) -> bool:
        return self._clock() - item.made_ms > _CERTAIN_MS

    async def _look_up(self, items: list[SendRequest]) -> list[SendRequest]:
        """Load recipients, and ask the store for old ids that Redis may have forgotten."""
        people = await self._directory.people(item.frame.to for item in items)
        old: dict[str, list[SendRequest]] = {}
        for item in items:
            item.person = people.get(item.frame.to)
            if item.person is None:
                item.answer(RoostError("unknown_user", f"There is no user {item.frame.to!r}."))
            elif self._is_old(item):
                old.setdefault(item.person.user, []).append(item)
        for user, group in old.items():
            await self._look_in_store(user, group)
        return [item for item in items if not item.answered]

    async def _look_in_store(self, user: str, items: list[SendRequest]) -> None:
        stored = await self._store.mailboxes.find_causes(user, [item.frame.id for item in items], SEQ_LIMIT)
        for item in items:
            document = stored.get(item.key)
            if document is not None:
                self._answer_known(item, answer_of(document, item.frame.to))

    # --- producing ---

    async def _produce(self, items: list[SendRequest]) -> None:
        first: dict[tuple[str, str], SendRequest] = {}
        repeats: list[SendRequest] = []
        now = self._clock()
        records: list[tuple[str, bytes]] = []
        for item in items:
            if item.key in first:
                repeats.append(item)
            elif matches_devices(item):
                first[item.key] = item
                record = record_of(item, now, self._sequencer.records)
                records.append((item.person.user, record))  # type: ignore[union-attr]
        if not records:
            return
        answers: dict[tuple[str, str], Accepted] = {}
        for item, seq in zip(first.values(), await self._sequencer.append(records), strict=True):
            if isinstance(seq, int):
                answers[item.key] = Accepted(item.frame.to, seq, now, item.digest)
            else:
                item.answer(seq)
        await self.answers.remember(answers)
        now_s = monotonic()
        for item in (*first.values(), *repeats):
            if self._answer_known(item, answers.get(item.key)):
                metrics.ACCEPT_SECONDS.observe(now_s - item.arrived_s)
                if traces.tracer is not None:
                    traces.tracer.end(traces.ACCEPT, item.key, item.frame.id, seq=answers[item.key].seq)
        self.accepted += len(answers)
        await self._copy([(item, answers[item.key]) for item in first.values() if item.key in answers])

    async def _copy(self, sent: list[tuple[SendRequest, Accepted]]) -> None:
        """Tell the sender's other devices, where there are any."""
        names = {item.principal.username for item, _ in sent}
        people = {name: self._directory.peek(name) for name in names}
        if None in people.values():
            people |= await self._directory.people(names)
        records = []
        for item, answer in sent:
            person = people.get(item.principal.username)
            if person is not None and person.devices - {item.principal.device}:
                records.append((person.user, copy_of(item, answer, self._sequencer.records)))
        for _ in range(_SENT_TRIES):
            if not records:
                return
            seqs = await self._sequencer.append(records)
            records = [each for each, seq in zip(records, seqs, strict=True) if not isinstance(seq, int)]
        self.lost_copies += len(records)
        if records:
            log.warning("copies_lost", count=len(records))


def _settle(future: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


def _of_devices(items: Sequence[SendRequest], some: Iterable[SendRequest]) -> list[SendRequest]:
    devices = {item.principal.device for item in some}
    return [item for item in items if item.principal.device in devices] if devices else []
