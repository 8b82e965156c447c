"""Background tasks whose failures are never lost, and calls that are repeated until they succeed."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, TypeVar

from roost.errors import Unavailable
from roost.loading import without

with without("rich"):  # it is for tracebacks in colour, which nothing here writes, and takes 0.13 s to load
    import structlog

_ESSENTIAL_TASK_FAILED: Final = "An essential task failed."
_CANCELLED_AGAIN_S: Final = 5.0

log = structlog.get_logger()

T = TypeVar("T")


class BackgroundTasks:
    """The tasks that an object started and does not await.

    Each is kept until it ends, since an event loop alone may let it be garbage-collected. An exception that a
    task does not handle is logged with the task's name; it ends that task and no other. If the task is
    essential, the process cannot do its work without it: the event loop's exception handler is told instead
    (`on_essential_failure`).
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(
        self, work: Coroutine[Any, Any, T], name: str = "", *, essential: bool = False
    ) -> asyncio.Task[T]:
        """Start a task.

        Args:
            work: What it runs.
            name: Named so in the log if it fails; by default after the coroutine's function.
            essential: A role whose task of this kind failed is unhealthy and gets replaced. For loops that
                must run as long as the role does; not for work on one record or one client, whose fault
                would end role after role.
        """
        task = asyncio.create_task(work, name=name or getattr(work, "__qualname__", "") or None)
        self._tasks.add(task)
        task.add_done_callback(self._essential_ended if essential else self._ended)
        return task

    async def cancel(self) -> None:
        """Cancel every task that has not ended and wait until all have.

        A task that goes on all the same is named in the log and cancelled again, every five seconds.
        """
        tasks = self._tasks - {asyncio.current_task()}
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=_CANCELLED_AGAIN_S)
            if tasks:
                log.warning("tasks_outlive_their_end", tasks=sorted(task.get_name() for task in tasks))

    async def wait(self) -> None:
        """Wait until every task has ended, and those that were started meanwhile."""
        while tasks := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("background_task_failed", task=task.get_name(), exc_info=failure)

    def _essential_ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelling():  # whoever ends it can do without it
            self._ended(task)
            return
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            context = {"message": _ESSENTIAL_TASK_FAILED, "exception": failure, "task": task}
            task.get_loop().call_exception_handler(context)


def on_essential_failure(told: Callable[[str, BaseException], None]) -> None:
    """Be told of every essential task of the running event loop that fails: its name, and the exception.

    Without this the event loop's default handler logs them.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] == _ESSENTIAL_TASK_FAILED:
            told(context["task"].get_name(), context["exception"])
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)


def backoff(first_s: float = 0.05, longest_s: float = 2.0) -> Iterator[float]:
    """Yield pauses in seconds without end, each twice the one before, up to ``longest_s``."""
    pause = first_s
    while True:
        yield pause
        pause = min(pause * 2, longest_s)


async def insist(
    call: Callable[[], Awaitable[T]],
    event: str,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = Unavailable,
    pauses: Iterable[float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Return what the call returns, repeating it until it succeeds. Every failure is logged.

    Args:
        call: Must be idempotent: a call that failed may have taken effect.
        event: Log event of each failure, for example ``look_up_postponed``.
        on: The exceptions after which the call is repeated.
        pauses: Seconds between calls, by default `backoff()`. When they run out, one last call is made:
            ``islice(backoff(), 4)`` makes five at most.
        sleep: Waits; given where time is not the event loop's.

    Raises:
        Exception: The call's, if it is none of ``on``, or the last call's.
    """
    for pause in backoff() if pauses is None else pauses:
        try:
            return await call()
        except on as exc:
            log.warning(event, reason=str(exc), kind=type(exc).__name__)
        await sleep(pause)
    return await call()
