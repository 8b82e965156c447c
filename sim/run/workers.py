"""The workers of a run, wherever they are: in this process, in processes of their own, or in Ray tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from roost.own_packages import program
from sim.people.worker_context import Figures
from sim.run.spec import Spec
from sim.run.worker import work

_LOOK_EVERY_S: Final = 0.2
_STOP_S: Final = 20.0

_figures = msgspec.json.Decoder(Figures)


class WorkerFailed(RuntimeError):  # noqa: N818 -- named for what happened
    """A worker ended before its time; the sentence says what it left."""


class Workers:
    """All workers of one run, and the word to them.

    Args:
        spec: The run.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.folder = Path(spec.folder)
        self.tasks: list[asyncio.Task[None]] = []
        self._word: list[str] = []

    def say(self, word: str, at_s: float) -> None:
        """Tell every worker: ``go``, ``stop`` acting, or ``end``, at this second of the monotonic clock."""
        self._word.append(f"{word} {at_s}")
        fresh = self.folder / "word.new"
        fresh.write_text("\n".join(self._word))
        fresh.replace(self.folder / "word")

    def figures(self) -> list[Figures]:
        """Return what each worker told last.

        Raises:
            WorkerFailed: One has ended with an error.
        """
        for task_ in self.tasks:
            if task_.done() and not task_.cancelled() and (exc := task_.exception()) is not None:
                raise WorkerFailed(f"A worker ended: {exc}") from exc
        found = []
        for number in range(self.spec.workers):
            path = self.folder / f"figures-{number}.json"
            found.append(_figures.decode(path.read_bytes()) if path.exists() else Figures())
        return found

    async def until(self, *phases: str) -> None:
        """Wait until every worker is in one of the phases."""
        while not all(each.phase in phases for each in self.figures()):  # noqa: ASYNC110 -- they tell in files
            await asyncio.sleep(_LOOK_EVERY_S)

    @property
    def ledgers(self) -> list[Path]:
        """The files that the workers write."""
        return [self.folder / f"ledger-{number}.db" for number in range(self.spec.workers)]


@asynccontextmanager
async def start_workers(spec: Spec, ray: tuple[str, Path] | None = None) -> AsyncIterator[Workers]:
    """Start the workers of a run; whoever still works at the end is stopped.

    Args:
        spec: The run.
        ray: Address and data folder of the Ray cluster whose tasks they shall be; its nodes must see the
            folder of the run.
    """
    found = Workers(spec)
    (found.folder / "spec.json").write_bytes(msgspec.json.encode(spec))
    if ray is not None:
        found.tasks = [asyncio.create_task(_in_ray(spec, *ray))]
    elif spec.workers == 1:
        found.tasks = [asyncio.create_task(work(spec, 0))]
    else:
        found.tasks = [asyncio.create_task(_in_process(spec, number)) for number in range(spec.workers)]
    try:
        yield found
    finally:
        for each in found.tasks:
            each.cancel()
        await asyncio.wait(found.tasks, timeout=_STOP_S)


async def _in_process(spec: Spec, number: int) -> None:
    await _child(spec, f"worker-{number}", "sim.run.worker", spec.folder, str(number))


async def _in_ray(spec: Spec, address: str, data: Path) -> None:
    await _child(spec, "workers", "sim.run.ray_workers", spec.folder, address, str(data))


async def _child(spec: Spec, name: str, module: str, *arguments: str) -> None:
    """Run a module until it ends; stopped with us."""
    path = Path(spec.folder) / f"{name}.log"
    with path.open("wb") as log:
        child = await asyncio.create_subprocess_exec(*program(module), *arguments, stdout=log, stderr=log)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            child.terminate()
            await child.wait()
            raise
    if code:
        raise WorkerFailed(f"{name} exited with {code}: {path.read_text(errors='replace')[-800:]}")
