"""A process that stays in a system's Ray cluster and answers questions for its status.

``roost status`` joins and leaves the cluster for each answer, which takes most of a second; tests ask often.
Run as a program it takes the data folder as the first line of stdin, and answers each further line with one.
"""

import asyncio
import contextlib
import json
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from cluster.cli.status import ask
from cluster.cli.verbs import coordinator
from cluster.settings import Settings
from roost.errors import Unavailable

_ANSWER_S: Final = 20.0


class Asking:
    """The process, as tests see it; it is started at the first question, and again if it is gone."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._child: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    async def status(self) -> dict[str, Any]:
        """Return what ``roost status --json`` says; where there is no answer, no roles and why."""
        return await asyncio.to_thread(self._ask)

    def close(self) -> None:
        """End the process."""
        with self._one_at_a_time:
            self._end()

    def _ask(self) -> dict[str, Any]:
        with self._one_at_a_time:
            if self._child is None or self._child.poll() is not None:
                self._end()
                self._child = self._launched()
            _say(self._child, "status")
            out = self._child.stdout
            assert out is not None
            line = out.readline() if select.select([out], [], [], _ANSWER_S)[0] else ""
            if not line:
                self._end()  # its next answer would be of this question
                return {"roles": [], "failure": "no answer"}
            found: dict[str, Any] = json.loads(line)
            return found

    def _launched(self) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.live.asking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what Ray says when the system is killed
            text=True,
            cwd=Path(__file__).parents[2],
        )
        _say(child, str(self._data))
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _say(child: "subprocess.Popen[str]", line: str) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, as the missing answer will show
        child.stdin.write(line + "\n")
        child.stdin.flush()


def main() -> None:
    settings = Settings.load({"data": sys.stdin.readline().strip()})
    with coordinator(settings) as find_it:
        for _ in sys.stdin:
            try:
                found = asyncio.run(ask(find_it))
            except Unavailable as exc:
                found = {"roles": [], "failure": str(exc)}
            print(json.dumps(found), flush=True)  # noqa: T201 -- its answers


if __name__ == "__main__":
    main()
