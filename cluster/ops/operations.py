"""Operations as pages are shown them: the proof as it happens."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from cluster.operations.plans import Operation
from cluster.ops.line import EventLine
from cluster.ops.wire import OperationState
from roost.clock import Clock
from storage.event_records import Kind, Level

_SHOWN_MS: Final = 60_000
"""An operation is shown so long after its end."""


class _Known(Struct):
    number: int
    act: str
    what: str
    by: str
    operation: Operation
    over_ms: int | None = None

    @property
    def name(self) -> str:
        return f"{self.act} {self.what}".strip()


class KnownOperations:
    """The operations that this coordinator was asked for.

    Args:
        line: Is told of their beginning and end.
        clock: The time.
    """

    def __init__(self, line: EventLine, clock: Clock) -> None:
        self._line, self._clock = line, clock
        self._known: list[_Known] = []

    def began(self, number: int, request: Mapping[str, Any], by: str, operation: Operation) -> None:
        """Note that an operation began, and follow it from now on."""
        [(act, what)] = request.items()
        known = _Known(number, act, _shown(what), by, operation)
        self._known.append(known)
        self._note(known, "operation_begun", f"{known.name} began.")

    def look(self) -> None:
        """Note which have ended since the last look."""
        for known in self._known:
            operation = known.operation
            if known.over_ms is not None or not operation.done:
                continue
            known.over_ms = self._clock()
            if operation.failure:
                self._note(known, "operation_failed", f"{known.name} failed: {operation.failure}", "problem")
            else:
                self._note(
                    known, "operation_done", " ".join([f"{known.name} is done.", *operation.lines[-1:]])
                )

    def states(self) -> list[OperationState]:
        """Return those in progress, and those that ended a moment ago."""
        since_ms = self._clock() - _SHOWN_MS
        self._known = [each for each in self._known if each.over_ms is None or each.over_ms > since_ms]
        return [
            OperationState(
                number=each.number,
                act=each.act,
                what=each.what,
                by=each.by,
                done=each.operation.done,
                stage=each.operation.stage,
                lines=list(each.operation.lines),
                failure=each.operation.failure,
            )
            for each in self._known
        ]

    def _note(self, known: _Known, kind: Kind, text: str, level: Level = "info") -> None:
        self._line.note(kind, known.name, text, level, by=known.by, more={"number": known.number})


def _shown(what: Any) -> str:
    if isinstance(what, Mapping):
        return " ".join(f"{name}={count}" for name, count in what.items())
    return "" if what is True else str(what)
