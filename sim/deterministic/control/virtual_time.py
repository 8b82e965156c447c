"""An event loop whose time passes only while nothing can run, and whose processes can stop or die.

`asyncio` itself is the real one; what is ours is the clock (waiting for a timer advances it at once), threads
(work handed to one is done on the loop, a moment later) and *lives*: every task belongs to the life of a
process, so that a life can be stopped in the middle of anything, as by SIGSTOP, or end there, as by SIGKILL.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, cast

T = TypeVar("T")

_THREAD_S = 0.002
"""How long what is handed to a thread takes."""

_UNWINDING = 100
"""Turns of the loop in which the tasks of one that died have ended; they wait for nothing any more."""


class Stuck(Exception):  # noqa: N818 -- named for what happened
    """Everything waits, and for nothing that will happen."""


class Life:
    """One life of a process.

    Attributes:
        name: For people.
        node: Id of its machine.
        dead: It has ended: no call of its tasks does anything any more.
        replaced: It ended by itself, since another one has its place.
        dies_in: Calls of its ports after which it dies, None if it is not about to.
        context: Where its tasks run.
    """

    def __init__(self, name: str, node: str) -> None:
        self.name, self.node = name, node
        self.dead = self.replaced = False
        self.dies_in: int | None = None
        self.frozen: list[tuple[Callable[..., Any], tuple[Any, ...], Context]] | None = None
        self.context = copy_context()
        self.context.run(_LIFE.set, self)


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def life() -> Life | None:
    """Return whose task runs now; None: it is the world's."""
    return _LIFE.get()


class _Task(asyncio.Task[Any]):
    """A task that knows whose it is, and its place among the others."""

    life: Life | None
    number: int


class _Sleep(selectors.SelectSelector):
    """Waits for nothing but time, which passes at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._sleep = _Sleep()
        super().__init__(self._sleep)
        self._stopped = 0
        self._made = 0
        self.set_task_factory(cast("Any", self._task))

    def time(self) -> float:
        """Return the time in seconds since the world began."""
        return self._sleep.now_s

    # --- asyncio.AbstractEventLoop ---

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call it in the next turn; one whose process is stopped is called when that goes on."""
        if self._stopped:
            owner = (context or copy_context()).get(_LIFE)
            if owner is not None and owner.frozen is not None:
                owner.frozen.append((callback, args, context or copy_context()))
                return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Do it a moment later, whether or not it is still waited for: a thread is not cancelled."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        mine, context = life(), copy_context()

        def work() -> None:
            if mine is not None and mine.dead:
                return
            try:
                result = func(*args)
            except Exception as exc:  # noqa: BLE001 -- it is handed to who waits
                if not future.done():
                    future.set_exception(exc)
                return
            if not future.done():
                future.set_result(result)

        self.call_later(_THREAD_S, lambda: self.call_soon(work, context=context), context=context)
        return future

    def _task(
        self, _loop: Any, work: Coroutine[Any, Any, T], context: Context | None = None, **_: Any
    ) -> asyncio.Task[T]:
        made = _Task(work, loop=self, context=context)
        made.life = context.get(_LIFE) if context is not None else life()
        self._made += 1
        made.number = self._made
        return made

    # --- lives ---

    def stop_life(self, one: Life) -> None:
        """Have none of its tasks run until `continue_life`."""
        if one.frozen is None:
            one.frozen = []
            self._stopped += 1

    def continue_life(self, one: Life) -> None:
        """Run on: what became ready meanwhile is done in its order."""
        if one.frozen is None:
            return
        held, one.frozen = one.frozen, None
        self._stopped -= 1
        for callback, args, context in held:
            super().call_soon(callback, *args, context=context)

    def end_life(self, one: Life) -> None:
        """End it where it stands. Its tasks unwind, and no port does anything for them any more."""
        one.dead = True
        self.continue_life(one)
        for task in self.tasks_of(one):
            task.cancel()

    def tasks_of(self, one: Life | None) -> list[asyncio.Task[Any]]:
        """Return its tasks that have not ended, the oldest first."""
        tasks = [each for each in asyncio.all_tasks(self) if isinstance(each, _Task) and each.life is one]
        return [*sorted(tasks, key=lambda each: each.number)]

    # --- time ---

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass, with all that happens in it."""
        self.run_until_complete(asyncio.sleep(seconds))

    def shut(self) -> None:
        """End all that is left, and close."""
        for _ in range(_UNWINDING):
            left = asyncio.all_tasks(self)
            if not left:
                break
            for each in left:
                each.cancel()
            self.run_until_complete(_turn())
        self.close()


async def _turn() -> None:
    """Let everything else have a turn."""
