"""What a host needs of an event loop. A simulation hands in its own."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from roost.tasks import BackgroundTasks


class Runtime(Protocol):
    """Calls, tasks and time."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call at the end of this turn of the event loop."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call after so many seconds; returns what cancels that."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task beside. An exception that it does not handle is logged."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def gather(self, *calls: Coroutine[Any, Any, Any]) -> Sequence[Any]:
        """Await all at the same time; returns their results in order."""
        ...

    async def stop(self) -> None:
        """Cancel the tasks."""
        ...


class EventLoop:
    """The running event loop of asyncio."""

    def __init__(self) -> None:
        self._tasks = BackgroundTasks()

    def soon(self, call: Callable[[], None]) -> None:
        """See `Runtime`."""
        asyncio.get_running_loop().call_soon(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """See `Runtime`."""
        return asyncio.get_running_loop().call_later(seconds, call).cancel

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """See `Runtime`."""
        self._tasks.spawn(work)

    async def sleep(self, seconds: float) -> None:
        """See `Runtime`."""
        await asyncio.sleep(seconds)

    async def gather(self, *calls: Coroutine[Any, Any, Any]) -> Sequence[Any]:
        """See `Runtime`."""
        return await asyncio.gather(*calls)

    async def stop(self) -> None:
        """See `Runtime`."""
        await self._tasks.cancel()
