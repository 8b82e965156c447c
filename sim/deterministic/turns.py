"""Coroutines without an event loop: they stop where they ask a store, and go on when the run says so."""

from collections.abc import Coroutine, Generator
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Fate = Literal["done", "refused", "lost"]
"""What becomes of a call: it works; it does not; it works, and the caller is told that it did not."""

FATES: tuple[Fate, ...] = ("done", "refused", "lost")


class Turn:
    """Awaited: stop here until the run goes on with this coroutine, and learn the call's fate."""

    def __await__(self) -> Generator[None, Fate, Fate]:
        return (yield)


class Task:
    """A coroutine that stops at every `Turn`."""

    def __init__(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self.name = name
        self._work = work
        self.over = False
        self.failure: Exception | None = None
        self._send(None)

    def go_on(self, fate: Fate) -> None:
        """Let the call it stopped at have this fate, and run to the next one."""
        self._send(fate)

    def drop(self) -> None:
        """Forget it where it stands, as a killed process does."""
        self._work.close()
        self.over = True

    def _send(self, fate: Fate | None) -> None:
        try:
            self._work.send(fate)
        except StopIteration:
            self.over = True


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that asks only what answers at once."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("this coroutine was not expected to wait")
