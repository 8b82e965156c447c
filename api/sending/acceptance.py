"""Acceptance: from a well-formed send to a durable record and its number.

A repeat of an earlier send gets the earlier answer (`api.sending.repeats`); everything else is checked
against the recipient's devices and appended to the log.
"""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from api.identity.directory import Directory
from api.identity.limits import Limits
from api.sending.answers import Answers
from api.sending.copies import Copies
from api.sending.repeats import Repeats, answer_known
from api.sending.room import Room
from api.sending.send_request import SendRequest, check, matches_devices, record_of
from api.sending.sequence import Sequencer
from roost.clock import Clock
from roost.errors import RoostError
from storage.ports import Accepted, Store
from telemetry import metrics, traces

_CERTAIN_MS = 30_000


class Acceptance:
    """The accept path of one gateway.

    Attributes:
        accepted: Messages accepted.
        copies: Tells the senders' other devices.
    """

    def __init__(
        self,
        store: Store,
        answers: Answers,
        sequencer: Sequencer,
        directory: Directory,
        limits: Limits,
        room: Room,
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._room = room
        self.copies = Copies(sequencer, directory)
        self._repeats = Repeats(answers, store, sequencer, directory, self.copies)
        self._sequencer = sequencer
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._wrote: Callable[[Iterable[SendRequest]], None] = lambda _: None
        self.accepted = 0

    def on_accepted(self, wrote: Callable[[Iterable[SendRequest]], None]) -> None:
        """Set who is told of the messages of each round."""
        self._wrote = wrote

    async def divide(self, items: Sequence[SendRequest]) -> tuple[list[SendRequest], list[SendRequest]]:
        """Answer the items that are malformed or known, and divide the others, in order.

        Returns:
            Those that can be accepted at once, and those whose device has one that must be looked up first.
        """
        now = self._clock()
        fresh = await self._repeats.unknown([item for item in items if check(item, now)])
        slow = _of_devices(fresh, (item for item in fresh if self._needs_lookup(item)))
        held = set(map(id, slow))
        return [item for item in fresh if id(item) not in held], slow

    async def look_up(self, items: list[SendRequest]) -> list[SendRequest]:
        """Load recipients, and ask what only the store and hosts know; return what remains.

        The store: for ids that Redis may have forgotten. Hosts: whether there is room in a mailbox.
        """
        names = {item.frame.to for item in items}
        people = await self._directory.people(
            names.union(item.principal.username for item in items if item.frame.own is not None)
        )
        old: dict[str, list[SendRequest]] = {}
        for item in items:
            item.person, item.me = people.get(item.frame.to), people.get(item.principal.username)
            if item.person is None:
                item.answer(RoostError("unknown_user", f"There is no user {item.frame.to!r}."))
            elif self._is_old(item):
                old.setdefault(item.person.user, []).append(item)
        self._limit_searches(old, items)
        for user, group in old.items():
            await self._repeats.answer_stored(user, [item for item in group if not item.answered])
        await self._room.admit(item for item in items if not item.answered)
        return [item for item in items if not item.answered]

    def _limit_searches(self, old: dict[str, list[SendRequest]], items: list[SendRequest]) -> None:
        """Refuse all of a device that has mailboxes searched too often: each of them may be long."""
        for device in [d for group in old.values() for d in {item.principal.device for item in group}]:
            try:
                self._limits.check_here("searches", device)
            except RoostError as exc:
                for item in items:
                    if item.principal.device == device:
                        item.answer(exc)

    async def accept(self, items: list[SendRequest]) -> None:
        """Append what matches the recipients' devices, and answer every item."""
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
        copied = {key: item for key, item in first.items() if item.copies and key in answers}
        early = {key: each for key, each in answers.items() if key not in copied} if copied else answers
        await self._answer([*first.values(), *repeats], early)
        if copied:
            failed = await self.copies.write([(item, answers[key]) for key, item in copied.items()])
            self.copies.refuse(failed)
            for item in failed:
                del answers[item.key]
            late = {key: answers[key] for key in copied if key in answers}
            await self._answer([*copied.values(), *repeats], late)
        self.accepted += len(answers)
        sent = [(item, answers[item.key]) for item in first.values() if item.key in answers]
        self._wrote(item for item, _ in sent)
        await self.copies.tell([each for each in sent if not each[0].copies])

    async def _answer(self, items: list[SendRequest], answers: dict[tuple[str, str], Accepted]) -> None:
        """Remember the answers, and answer those of the items that they are for."""
        await self._answers.remember(answers)
        now_s = monotonic()
        for item in items:
            if answer_known(item, answers.get(item.key)):
                metrics.ACCEPT_SECONDS.observe(now_s - item.arrived_s)
                if traces.tracer is not None:
                    answer, users = answers[item.key], (item.principal.user, item.frame.to)
                    traces.tracer.end(traces.ACCEPT, item.key, item.frame.id, users, seq=answer.seq)

    def _needs_lookup(self, item: SendRequest) -> bool:
        item.person = self._directory.peek(item.frame.to)
        if item.frame.own is not None:
            item.me = self._directory.peek(item.principal.username)
            if item.me is None:
                return True
        return item.person is None or self._room.concerns(item.person.user) or self._is_old(item)

    def _is_old(self, item: SendRequest) -> bool:
        return self._clock() - item.made_ms > _CERTAIN_MS


def _of_devices(items: Sequence[SendRequest], some: Iterable[SendRequest]) -> list[SendRequest]:
    devices = {item.principal.device for item in some}
    return [item for item in items if item.principal.device in devices] if devices else []
