"""Moments on the clock of this machine, whatever number somebody gave for one."""

from datetime import UTC, datetime, tzinfo
from typing import Final

_FIRST_MS: Final = -62_104_060_800_000
_LAST_MS: Final = 253_370_764_800_000
"""The beginnings of the years 2 and 9999: a calendar has both, in every zone."""


def local(at_ms: int, zone: tzinfo | None = None) -> datetime:
    """Return a moment on the clock of a zone; None: of this machine's.

    The time of a message is its author's word, or the server's: of one that no calendar has, the nearest is
    shown.
    """
    return datetime.fromtimestamp(min(max(at_ms, _FIRST_MS), _LAST_MS) / 1000, UTC).astimezone(zone)
