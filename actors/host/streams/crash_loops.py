"""Crash loops: devices that are sent the same entry first, stream after stream, and never acknowledge it."""

from collections import OrderedDict
from typing import Final

LOOP: Final = 5
"""So many streams in a row that begin with the same entry are a loop: its client dies of that entry."""

_KEPT: Final = 10_000

Device = tuple[str, str]
"""User id and device id."""


class CrashLoops:
    """Finds them by the first entry of each device's last stream, kept until it is acknowledged. Pure.

    Args:
        kept: Devices known at a time; who was there longest ago is forgotten.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._of: OrderedDict[Device, tuple[int, int]] = OrderedDict()

    def sent(self, device: Device, seq: int) -> int:
        """Note what a stream begins with; returns how many streams in a row began so, at least 1."""
        known, times = self._of.pop(device, (seq, 0))
        times = times + 1 if known == seq else 1
        self._of[device] = seq, times
        if len(self._of) > self._kept:
            self._of.popitem(last=False)
        return times

    def acked(self, device: Device, seq: int) -> None:
        """Note that the device holds everything up to ``seq``."""
        known = self._of.get(device)
        if known is not None and known[0] <= seq:
            del self._of[device]
