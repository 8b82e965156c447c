"""The witness of operators' acts: each is in the audit log before it begins, and again when it is over."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from roost.clock import Clock
from roost.errors import Unavailable
from storage.audit_chain import Act
from storage.ports import Audit

log = structlog.get_logger()


class Witness:
    """Writes into the audit log what is asked of the coordinator, and by whom."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit, self._clock = audit, clock

    @asynccontextmanager
    async def around(self, by: str, act: str, what: Any) -> AsyncIterator[None]:
        """Write down an act before it begins, and that it is done, or failed if it raises.

        Raises:
            Unavailable: It could not be written down before; then it does not begin.
        """
        await self.requested(by, act, what)
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            await self.over(by, act, what, outcome)

    async def requested(self, by: str, act: str, what: Any) -> None:
        """Write down an act that is about to begin.

        Raises:
            Unavailable: It could not be; then the act must not begin.
        """
        try:
            await self._append(Act(by, act, _shown(what), "requested"))
        except Unavailable as exc:
            raise Unavailable(
                f"Nothing was done, since the audit log cannot be written: {exc.detail}"
            ) from exc

    async def over(self, by: str, act: str, what: Any, outcome: str) -> None:
        """Write down what came of it; if that fails, it stands in the process's log at least."""
        try:
            await self._append(Act(by, act, _shown(what), outcome))
        except Unavailable as exc:
            log.warning("outcome_not_in_the_audit_log", act=act, by=by, outcome=outcome, reason=exc.detail)

    async def _append(self, act: Act) -> None:
        entry = await self._audit.append(act, self._clock())
        log.info("audit_entry", head=entry.head, act=act.act, by=act.actor, outcome=entry.outcome)


def _shown(what: Any) -> str:
    if isinstance(what, Mapping):
        return " ".join(f"{role}={count}" for role, count in what.items())
    return "" if what is True else str(what)
