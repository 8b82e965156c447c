"""The status of the system, followed by one child: a ``roost status`` each time would take seconds."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, Final

from roost.child_supervision import tied
from roost.own_packages import program

EVERY_S: Final = 0.25

_NEXT_S: Final = 15.0
_AGAIN_S: Final = 0.5
_LINE: Final = 1024 * 1024
_NOTHING: Final[dict[str, Any]] = {"roles": [], "detail": "no status yet"}


class Watch:
    """Follows the status of the system with this data folder; inside a running event loop.

    Attributes:
        latest: The last status; its ``roles`` are empty while the system does not answer.
        rows: The roles of the last status that had any.
    """

    def __init__(self, data: Path) -> None:
        self.latest: dict[str, Any] = dict(_NOTHING)
        self.rows: list[dict[str, Any]] = []
        self._data = data
        self._came = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="status")

    async def next(self) -> dict[str, Any]:
        """Return a status that was asked for after this call; one without roles if none comes."""
        for _ in range(2):  # the first one may have been on its way
            came = self._came
            try:
                async with asyncio.timeout(_NEXT_S):
                    await came.wait()
            except TimeoutError:
                return dict(_NOTHING)
        return self.latest

    async def close(self) -> None:
        """Ask no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        """Run the child, and another one when it ends: it goes down with Ray."""
        while True:
            child = await asyncio.create_subprocess_exec(
                *tied(),
                *(*program("roost"), "status", "--json", "--every", str(EVERY_S)),
                *("--data", str(self._data)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_LINE,
                start_new_session=True,
            )
            try:
                await self._read(child)
            finally:
                if child.returncode is None:
                    child.kill()
                await child.wait()
            self._told(dict(_NOTHING))
            await asyncio.sleep(_AGAIN_S)

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101 -- it is a pipe
        while line := await child.stdout.readline():
            self._told(json.loads(line))

    def _told(self, status: dict[str, Any]) -> None:
        self.latest = status
        self.rows = status["roles"] or self.rows
        came, self._came = self._came, asyncio.Event()
        came.set()
