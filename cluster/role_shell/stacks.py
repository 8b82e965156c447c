"""Where a process is: the stacks of its threads and of its tasks, without the values of any variable."""

import asyncio
import io
import sys
import threading
import traceback
from types import FrameType
from typing import Final

_MOST: Final = 200
_DEPTH: Final = 30


def stacks() -> str:
    """Return the stacks as text: threads first, then tasks, of which only as many as people can read."""
    names = {each.ident: each.name for each in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}\n{_of(frame)}"
        for ident, frame in list(sys._current_frames().items())[:_MOST]  # noqa: SLF001 -- documented for debuggers
    ]
    tasks = [each for each in asyncio.all_tasks() if not each.done()]
    parts += [_task(each) for each in tasks[:_MOST]]
    if len(tasks) > _MOST:
        parts.append(f"and {len(tasks) - _MOST} more tasks\n")
    return "\n".join(parts)


def _of(frame: FrameType) -> str:
    return "".join(traceback.format_stack(frame, limit=_DEPTH))


def _task(task: "asyncio.Task[object]") -> str:
    out = io.StringIO()
    task.print_stack(limit=_DEPTH, file=out)
    return out.getvalue()
