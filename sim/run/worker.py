"""One worker: its share of the people, acting out the plan.

    python -m sim.run.worker FOLDER NUMBER

Everything between a worker and whoever started it goes through files in the folder of the run:
``spec.json`` in, ``word`` in (``go AT``, ``stop AT``, ``end AT``, seconds of the monotonic clock),
``figures-N.json`` out, once a second, and ``ledger-N.db``.
"""

import asyncio
import contextlib
import random
import resource
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import psutil

from roost.client import connections
from roost.clock import now_ms
from roost.memory import settle_malloc
from sim.faults.schedule import clock_offset_ms
from sim.ledger import Kind, Ledger, now_us
from sim.people.light import LightPhone
from sim.people.person import Person
from sim.people.phone import AppDied, Phone
from sim.people.worker_context import WorkerContext
from sim.run.memory import peak_mb
from sim.run.spec import Spec
from sim.scenarios import SCENARIOS
from sim.workload import Act, Leave, Say, Stage, plan

_TELL_EVERY_S: Final = 1.0
_LISTEN_EVERY_S: Final = 0.1
_PUSHES_EVERY_S: Final = 0.5
_JOIN_AT_ONCE: Final = 8
_AUDIT_AT_ONCE: Final = 8


class Worker:
    """Some of the people of a run.

    Args:
        spec: The run.
        number: Which worker this is.
        http: Connections.
    """

    def __init__(self, spec: Spec, number: int, http: aiohttp.ClientSession) -> None:
        self.spec, self.number = spec, number
        self._folder = Path(spec.folder)
        self._ledger = Ledger(self._folder / f"ledger-{number}.db")
        self.context = WorkerContext(spec.server, http, self._ledger, now_ms, spec.limits)
        self.people: dict[int, Person] = {}
        self._acts: list[Act] = []
        self._stop_word = asyncio.Event()
        self._random = random.Random(f"{spec.seed}/{number}")  # noqa: S311 - texts and habits, no secrets

    async def run(self) -> None:
        """Play from the first registration to the audit."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._broken)
        telling = asyncio.create_task(self._keep_telling())
        beside: list[asyncio.Task[None]] = []
        try:
            self._draw()
            await self._join()
            self._phase("ready")
            begin = await self._word("go")
            self._phase("running")
            beside = [asyncio.create_task(person.keep_reading()) for person in self.people.values()]
            beside.append(asyncio.create_task(self._keep_waking()))
            await self._act(begin)
            self._phase("settling")
            await asyncio.gather(*(person.come() for person in self.people.values()))
            await self._word("end")
            await self._stop(beside)
            self._phase("auditing")
            await self._audit()
            self._phase("done")
        finally:
            await self._stop([*beside, telling])
            await asyncio.gather(
                *(person.go(wakes=False) for person in self.people.values() if not person.away)
            )
            await self.context.close()
            self._ledger.close()
            self._tell()

    # --- the acts of the play -----------------------------------------------------------------------

    def _draw(self) -> None:
        spec = self.spec
        stage = Stage(spec.users, spec.rate, spec.duration_s, spec.seed)
        acts = plan(SCENARIOS[spec.scenario], stage)
        self._acts = [act for act in acts if act.user % spec.workers == self.number]
        for user in range(self.number, spec.users, spec.workers):
            self.people[user] = self._person(user)

    def _person(self, user: int) -> Person:
        spec, name = self.spec, self._name(user)
        # Of the user's own numbers, so that they are the same whoever plays it.
        draw = random.Random(f"{spec.seed}:{user}")  # noqa: S311
        polls = draw.random() < spec.polls
        devices = 2 if draw.random() < spec.devices else 1
        skew = clock_offset_ms(spec.seed, user) if spec.skewed else 0
        kind = LightPhone if spec.light else Phone
        return Person(name, [kind(self.context, name, polls=polls, skew_ms=skew) for _ in range(devices)])

    def _name(self, user: int) -> str:
        return f"{self.spec.name}{user}"

    async def _join(self) -> None:
        gate = asyncio.Semaphore(_JOIN_AT_ONCE)
        woken = {act.user for act in self._acts if isinstance(act, Leave) and act.wakes}

        async def join(user: int, person: Person) -> None:
            async with gate:
                await person.join(pushes=bool(self.spec.fcm) and user in woken)

        await asyncio.gather(*(join(user, person) for user, person in self.people.items()))
        # No event is common to them.
        while not all(person.connected for person in self.people.values()):  # noqa: ASYNC110
            await asyncio.sleep(_LISTEN_EVERY_S)

    async def _act(self, begin: float) -> None:
        """Start every act at its time; one that waits (for keys, for a close) holds up no other."""
        for act in self._acts:
            delay = begin + act.at_s - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            if self._stop_word.is_set():
                return
            to = self._name(act.to) if isinstance(act, Say) else ""
            content = self._content(act) if isinstance(act, Say) else b""
            self.context.spawn(self.people[act.user].do(act, to, content))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(begin + self.spec.duration_s - time.monotonic()):
                await self._stop_word.wait()

    def _content(self, act: Say) -> bytes:
        return self._random.randbytes(act.size)

    async def _keep_waking(self) -> None:
        """Be the phones' push service: who sleeps with the app closed comes back when a push arrives."""
        if not self.spec.fcm:
            return
        names = {
            person.push_token(n): (person, n)
            for person in self.people.values()
            for n in range(len(person.phones))
        }
        seen = 0
        while True:
            await asyncio.sleep(_PUSHES_EVERY_S)
            try:
                async with self.context.http.get(
                    f"{self.spec.fcm}/pushes", params={"after": str(seen)}
                ) as answer:
                    pushes = await answer.json()
            except (aiohttp.ClientError, TimeoutError, ValueError):
                continue  # it is being struck; what it has is shown later
            seen += len(pushes)
            for push in pushes:
                if push["token"] in names:
                    await self._pushed(*names[push["token"]])

    async def _pushed(self, person: Person, number: int) -> None:
        phone = person.phones[number]
        self._ledger.record(Kind.PUSHED, at_us=now_us(), user=person.name, device=phone.device)
        if person.wakes:
            await person.come()

    async def _audit(self) -> None:
        gate = asyncio.Semaphore(_AUDIT_AT_ONCE)

        async def audit(person: Person) -> None:
            async with gate:
                await person.audit()

        people = self.people.values()
        for person in people:
            person.end()
        # With the apps closed nothing can be accepted any more that the audit has not seen.
        await asyncio.gather(*(person.go(wakes=False) for person in people))
        await asyncio.gather(*(audit(person) for person in people))

    # --- word from and to the parent -----------------------------------------------------------------

    def _heard(self, wanted: str) -> float | None:
        try:
            lines = (self._folder / "word").read_text().splitlines()
        except FileNotFoundError:
            return None
        for line in lines:
            word, _, at = line.partition(" ")
            if word == wanted:
                return float(at)
        return None

    async def _word(self, wanted: str) -> float:
        while (at := self._heard(wanted)) is None:  # noqa: ASYNC110 -- another process says it, in a file
            await asyncio.sleep(_LISTEN_EVERY_S)
        delay = at - time.monotonic()
        if delay > 0:
            await asyncio.sleep(delay)
        return at

    def _phase(self, phase: str) -> None:
        self.context.board.figures.phase = phase
        self._tell()

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            if self._heard("stop") is not None:
                self._stop_word.set()
            self._tell()

    def _tell(self) -> None:
        figures = self.context.board.now()
        figures.online = sum(person.connected for person in self.people.values())
        # Of what is accepted and swept before its device comes, its sender hears nothing for days.
        accepted = not self.spec.limits.sweeps
        people = self.people.values() if figures.phase != "joining" else ()
        figures.waiting = sum(person.waiting(accepted=accepted) for person in people)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        figures.cpu_s = usage.ru_utime + usage.ru_stime
        figures.peak_mb = peak_mb()
        figures.rss_mb = psutil.Process().memory_info().rss / 1e6
        fresh = self._folder / f"figures-{self.number}.new"
        fresh.write_bytes(msgspec.json.encode(figures))
        fresh.replace(self._folder / f"figures-{self.number}.json")

    async def _stop(self, tasks: "list[asyncio.Task[None]]") -> None:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.context.board.trouble(f"{type(result).__name__}: {result}")

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if isinstance(context.get("exception"), AppDied):
            return  # the plan wanted it
        self.context.board.trouble(f"{context.get('message')}: {context.get('exception')!r}")
        loop.default_exception_handler(context)


async def work(spec: Spec, number: int) -> None:
    """Play one worker's share."""
    settle_malloc()
    async with connections(Path(spec.ca) if spec.ca is not None else None) as http:
        await Worker(spec, number, http).run()


def read_spec(folder: Path) -> Spec:
    """Return the run that a folder is for."""
    return msgspec.json.decode((folder / "spec.json").read_bytes(), type=Spec)


def main() -> int:
    """Play the share that the command line names."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    asyncio.run(work(read_spec(folder), number))
    return 0


if __name__ == "__main__":
    sys.exit(main())
