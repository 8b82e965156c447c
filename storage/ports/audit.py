"""The audit log: every act of an operator, one after the other, in a chain."""

from typing import Protocol

from storage.audit_chain import Act, AuditEntry


class Audit(Protocol):
    """Appended to, and never changed: there is no call that would."""

    async def append(self, act: Act, at_ms: int) -> AuditEntry:
        """Append the act behind the last entry, and return its place.

        Of two at once one comes first, and both are kept. Durable when it returns; if the reply is lost, it
        is unknown whether it was kept, and a repeat makes a second entry.
        """
        ...

    async def newest(self) -> int:
        """Return the number of the last entry, 0 if there is none."""
        ...

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        """Return the entries with a number above ``after``, in order, at most ``limit`` (0: all)."""
        ...
