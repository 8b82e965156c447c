"""The event loop, as a host uses it. A simulation hands in a runtime with other methods."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from roost.tasks import BackgroundTasks


class Runtime:
    """Calls, tasks and time."""

    def __init__(self) -> None:
        self._tasks = BackgroundTasks()

    def soon(self, call: Callable[[], None]) -> None:
        """Call at the end of this turn of the event loop."""
        asyncio.get_running_loop().call_soon(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call after so many seconds; returns what cancels that."""
        return asyncio.get_running_loop().call_later(seconds, call).cancel

    def spawn(self, work: Coroutine[Any, Any, None], *, essential: bool = False) -> None:
        """Run a task beside; see `BackgroundTasks.spawn`."""
        self._tasks.spawn(work, essential=essential)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def gather(self, *calls: Coroutine[Any, Any, Any]) -> Sequence[Any]:
        """Await all at the same time; returns their results in order."""
        return await asyncio.gather(*calls)

    async def stop(self) -> None:
        """Cancel the tasks."""
        await self._tasks.cancel()
