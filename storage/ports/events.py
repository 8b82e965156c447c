"""The line of events: what happened when, for operators."""

from collections.abc import Sequence
from typing import Protocol

from storage.event_records import Event


class Events(Protocol):
    """Written by the coordinator alone, and bounded."""

    async def keep(self, events: Sequence[Event]) -> None:
        """Store them. Durable when it returns; idempotent, so a lost reply is made good by a repeat."""
        ...

    async def newest(self, limit: int, before: int = 0, after: int = 0) -> list[Event]:
        """Return the newest events, the newest first.

        Args:
            limit: So many at most.
            before: Those whose ``n`` is below that; 0: all.
            after: Those whose ``n`` is above that.
        """
        ...

    async def trim(self, most: int, before: int) -> None:
        """Delete those whose ``n`` is below ``before``, and the oldest beyond ``most``. Idempotent."""
        ...
