"""The simulation's phones that talk at random, judged by its ledger: the traffic of live tests.

Everything is decided by one seeded generator, and by the test, which can break off connections, end apps and
wait until all has come to rest.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from roost import client as sdk
from roost.clock import now_ms
from sim.checker import Verdict, check
from sim.ledger import Kind, Ledger, Ledgers, now_us
from sim.people.phone import Phone
from sim.people.worker_context import WorkerContext
from tests.live.waiting import until

_AT_ONCE: Final = 16
_READ_EVERY_S: Final = 0.05
_LENGTH: Final = 60

T = TypeVar("T")


class Crowd:
    """All of them.

    Attributes:
        people: Phones by username.
        sent: Ids of the messages by (sender, recipient), in order.
        count: Messages handed to the SDK.
        calm: Sockets are to drop no more.
    """

    def __init__(self, context: WorkerContext, ledger: Path, seed: int) -> None:
        self.context, self.seed = context, seed
        self.people: dict[str, Phone] = {}
        self.sent: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.count = 0
        self.calm = asyncio.Event()
        self._path = ledger
        self._random = random.Random(seed)
        self._contacts: dict[str, list[str]] = {}

    async def join(self, names: list[str], contacts: int) -> None:
        """Register everyone, and decide who talks to whom."""
        self.people = {name: Phone(self.context, name) for name in names}
        await _few_at_once(_joined(phone) for phone in self.people.values())
        for name in names:
            others = [each for each in names if each != name]
            self._contacts[name] = self._random.sample(others, min(contacts, len(others)))

    async def send_one(self) -> None:
        """Let someone who is there say something to one of the contacts."""
        sender = self._random.choice([name for name, phone in self.people.items() if not phone.away])
        await self.say(sender, self._random.choice(self._contacts[sender]))

    async def say(self, sender: str, to: str) -> str:
        """Send a message and return its id."""
        message_id = await self.people[sender].say(to, self._random.randbytes(_LENGTH))
        self.sent[sender, to].append(message_id)
        self.count += 1
        return message_id

    async def talk(self, count: int, rate: float) -> None:
        """Send messages at a steady rate; falls behind rather than bunching up."""
        for _ in range(count):
            await self.send_one()
            await asyncio.sleep(1 / rate)

    async def drop_sockets(self, names: list[str], every: float) -> None:
        """Until `calm` is set: break a connection of these people, or end an app and start it again."""
        while not self.calm.is_set():
            await asyncio.sleep(every * self._random.uniform(0.5, 1.5))
            phone = self.people[self._random.choice(names)]
            how = self._random.choices(("cut", "half_open", "restart"), (6, 2, 2))[0]
            if how == "restart":
                await phone.close()
                await phone.open()
            else:
                phone.break_("cut" if how == "cut" else "half_open")

    async def keep_reading(self) -> None:
        """Until cancelled: everyone reads what comes."""
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            for phone in self.people.values():
                if phone.unread and not phone.away:
                    await phone.read_all()

    # --- the account ------------------------------------------------------------------------------

    def new_ledger(self) -> None:
        """Judge what happens from now on by itself; nothing may be in flight."""
        self.context.ledger.close()
        self._path = self._path.with_name(f"ledger-{now_us()}.db")
        self.context.ledger = Ledger(self._path)
        for phone in self.people.values():
            self.context.ledger.record(Kind.DEVICE, at_us=now_us(), user=phone.user, device=phone.device)

    async def settle(self, within: float) -> float:
        """Wait until everything sent was delivered and read, and its sender knows."""
        return await until(self.missing, within=within, every=0.2)

    def missing(self) -> str:
        """Say what has not come yet, '' when everything has."""
        waiting = {name: phone.waiting for name, phone in self.people.items() if phone.waiting}
        if waiting:
            return f"outboxes not empty (seed {self.seed}): {waiting}"
        there = {name: phone for name, phone in self.people.items() if not phone.away}
        if unread := {name: phone.unread for name, phone in there.items() if phone.unread}:
            return f"not read yet (seed {self.seed}): {unread}"
        unknown = [
            (sender, to)
            for sender, to in self.sent
            if not 0 < self.people[to].marked.get(sender, 0) <= self._read_by(sender, to)
        ]
        return f"{len(unknown)} pairs without a read watermark, such as {unknown[:3]}" if unknown else ""

    def _read_by(self, sender: str, to: str) -> int:
        return self.people[sender].client.profile.state.read.get(to, 0)

    def verdict(self) -> Verdict:
        """Return what the simulation's checker says so far."""
        self.context.ledger.flush()
        return check(Ledgers([self._path]))

    def check(self, *allowed: str) -> None:
        """Assert that nothing was lost, doubled, reordered or invented, and that nothing odd happened.

        Args:
            allowed: Kinds of violation that this fault may cause.
        """
        verdict = self.verdict()
        broken = verdict.broken.keys() - set(allowed)
        stories = [story for story in verdict.stories if story.kind not in allowed]
        assert not broken, f"seed {self.seed}: {verdict.broken}: {stories}"
        assert verdict.unverified == 0, stories
        assert verdict.totals.sent == verdict.totals.delivered, verdict.totals
        assert not self.context.board.figures.troubles, self.context.board.figures.troubles

    async def check_watermarks(self) -> None:
        """Assert that the server and the events agree that each pair's last message is delivered and read."""
        states = await _few_at_once(self._state(*pair) for pair in self.sent)
        for (sender, to), state in zip(self.sent, states, strict=True):
            known = self.people[sender].client.profile.state
            assert state["state"] == "read", (sender, to, state)
            assert 0 < state["seq"] <= known.delivered[to], (sender, to, state, known.delivered[to])
            assert state["seq"] <= known.read[to], (sender, to, state, known.read[to])

    async def _state(self, sender: str, to: str) -> dict[str, Any]:
        api, message_id = self.people[sender].client.api, self.sent[sender, to][-1]
        found: dict[str, Any] = await api.call("GET", f"/v1/messages/{message_id}", params={"to": to})
        return found

    def slowest(self, since: float) -> float:
        """Return the longest time from send to receipt of what was sent since then, in seconds."""
        times = self.verdict().send_deliver
        took = [took for at, took in zip(times.at_us, times.took_us, strict=True) if at >= since * 1e6]
        return max(took) / 1e6


@asynccontextmanager
async def crowd(server: str, prefix: str, size: int, *, contacts: int, seed: int) -> AsyncIterator[Crowd]:
    """Gather a crowd whose people read what they get; they leave at the end."""
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context))
    with TemporaryDirectory(prefix="roost-crowd-") as folder:
        async with sdk.connections() as http:
            ledger = Path(folder) / "ledger.db"
            context = WorkerContext(server, http, Ledger(ledger), now_ms)
            gathered = Crowd(context, ledger, seed)
            reading = asyncio.create_task(gathered.keep_reading())
            try:
                await gathered.join([f"{prefix}{number}" for number in range(size)], contacts)
                yield gathered
            finally:
                await cancelled(reading)
                await asyncio.gather(*(each.close() for each in gathered.people.values() if not each.away))
                await context.close()
                context.ledger.close()
    assert not broken, broken


async def _joined(phone: Phone) -> None:
    await phone.register(first=True)
    await phone.open()


async def _few_at_once(work: Iterable[Awaitable[T]]) -> list[T]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Awaitable[T]) -> T:
        async with gate:
            return await each

    return await asyncio.gather(*map(one, work))


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel a task that runs until then; if it had ended with an exception, raise that."""
    task.cancel()
    for outcome in await asyncio.gather(task, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
