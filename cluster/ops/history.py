"""The figures of the last quarter of an hour: a ring for each, which never grows. Pure."""

import math
from array import array
from collections.abc import Mapping
from typing import Final

from cluster.ops.wire import HISTORY_S, STEP_S, History

SLOTS: Final = HISTORY_S // STEP_S
_COLUMNS_MAX: Final = 200
"""Names come from closed sets of some 60; another release's may be among them."""

_DECIMALS: Final = 3


class Ring:
    """Values by name, of the newest steps."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._at_ms = array("q", [0]) * slots
        self._columns: dict[str, array[float]] = {}
        self._count = 0

    def add(self, at_ms: int, values: Mapping[str, float | None]) -> None:
        """Put in one step; the oldest goes if there is no room."""
        slot = self._count % self._slots
        self._at_ms[slot] = at_ms
        for name in values.keys() - self._columns.keys():
            if len(self._columns) < _COLUMNS_MAX:
                self._columns[name] = array("d", [math.nan]) * self._slots
        for name, column in self._columns.items():
            value = values.get(name)
            column[slot] = math.nan if value is None else value
        self._count += 1

    def history(self) -> History:
        """Return all of it, the oldest first."""
        kept = min(self._count, self._slots)
        order = [slot % self._slots for slot in range(self._count - kept, self._count)]
        return History(
            [self._at_ms[slot] for slot in order],
            {name: [shown(column[slot]) for slot in order] for name, column in self._columns.items()},
        )


def shown(value: float | None) -> float | None:
    """Return a value as it is sent: rounded, and None where there is none."""
    if value is None or math.isnan(value):
        return None
    return round(value, _DECIMALS)
