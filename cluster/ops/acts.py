"""Operators' acts as events: read from the audit log, which has those of every gateway and command line."""

import asyncio
from typing import Final

import structlog

from cluster.ops.line import EventLine
from roost.errors import Unavailable
from storage.audit_chain import AuditEntry
from storage.event_records import Level
from storage.ports import Audit

_EVERY_S: Final = 5.0
_OPERATIONS: Final = frozenset({"scale", "grow", "drain", "undrain", "upgrade"})
_AT_ONCE: Final = 100

log = structlog.get_logger()


class Acts:
    """Follows the audit log.

    Args:
        audit: It.
        line: Is told.
    """

    def __init__(self, audit: Audit, line: EventLine) -> None:
        self._audit, self._line = audit, line
        self._seen: int | None = None

    async def run(self) -> None:
        """Look again and again."""
        await self._line.loaded.wait()
        while True:
            try:
                await self._look()
            except Unavailable as exc:
                log.info("acts_not_read", reason=exc.detail)
            await asyncio.sleep(_EVERY_S)

    async def _look(self) -> None:
        if self._seen is None:
            # What was done while there was no coordinator comes after what the last events tell of.
            told = [event.more.get("audit", 0) for event in self._line.last() if event.kind == "admin_act"]
            self._seen = max(told) if told else await self._audit.newest()
        for entry in await self._audit.entries(self._seen, _AT_ONCE):
            self._seen = entry.number
            if not _is_told_otherwise(entry):
                level: Level = "warning" if entry.outcome.startswith(("refused", "failed")) else "info"
                text = f"{entry.act} {entry.target}: {entry.outcome}"
                self._line.note(
                    "admin_act", entry.target, text, level, by=entry.actor, more={"audit": entry.number}
                )


def _is_told_otherwise(entry: AuditEntry) -> bool:
    """Return whether the operation has events of its own."""
    return entry.act in _OPERATIONS and not entry.outcome.startswith("refused")
