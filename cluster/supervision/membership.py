"""Membership: a pure state machine over what roles answered, and when. No clock, no calls.

Times are milliseconds of any clock that never goes back.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from actors.service import Alive

STARTING: Final = "starting"
RUNNING: Final = "running"
RESTARTING: Final = "restarting"
SILENT: Final = "silent"

_FIRST_START_MS: Final = 15_000
"""How long a role may take to answer for the first time before the map goes on without it."""


class Patience(Struct, frozen=True):
    """How long absence is borne.

    Attributes:
        silence_ms: Without an answer for this long a role counts as gone. A host keeps its shards for twice
            as long: to load their users elsewhere costs more.
        grace_ms: For this long a host whose process died keeps its shards, because it comes back with them
            faster than another one could load their users.
    """

    silence_ms: int
    grace_ms: int


class Member(Struct):
    """One role.

    Attributes:
        role: For example ``host``.
        name: For example ``host-1``.
        since_ms: When it was first expected.
        alive: Its last answer, None before the first.
        heard_ms: When that came.
        failed: The last call failed, after that answer.
        incarnations: How many were seen.
        may_own: It may be given shards; False before it is admitted and once it is to leave.
    """

    role: str
    name: str
    since_ms: int
    alive: Alive | None = None
    heard_ms: int = 0
    failed: bool = False
    incarnations: int = 0
    may_own: bool = True


class Membership:
    """All roles that are wanted."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._members: dict[str, Member] = {}

    def expect(self, role: str, name: str, now_ms: int, *, may_own: bool = True) -> None:
        """A role is wanted from now on."""
        self._members.setdefault(name, Member(role, name, now_ms, may_own=may_own))

    def admit(self, admitted: Iterable[str], leaving: Iterable[str]) -> None:
        """From now on some may own shards and others may not."""
        for names, may_own in ((admitted, True), (leaving, False)):
            for name in names:
                self._members[name].may_own = may_own

    def forget(self, name: str) -> None:
        """A role is wanted no more."""
        del self._members[name]

    def heard(self, name: str, alive: Alive, now_ms: int) -> bool:
        """The role answered; returns whether this is the first answer of a new incarnation."""
        member = self._members[name]
        fresh = member.alive is None or member.alive.incarnation != alive.incarnation
        member.alive, member.heard_ms, member.failed = alive, now_ms, False
        member.incarnations += fresh
        return fresh

    def failed(self, name: str) -> None:
        """A call to the role failed: its process is gone, or cannot start its service."""
        self._members[name].failed = True

    def state(self, name: str, now_ms: int) -> str:
        """Return ``starting``, ``running``, ``restarting`` or ``silent``."""
        member = self._members[name]
        if member.alive is None:
            return STARTING
        if member.failed:
            return RESTARTING
        return RUNNING if now_ms - member.heard_ms <= self._patience.silence_ms else SILENT

    def members(self, role: str | None = None) -> list[Member]:
        """Return the members, of one role or all."""
        return [m for m in self._members.values() if role in (None, m.role)]

    def row(self, name: str, now_ms: int) -> dict[str, Any]:
        """Return the role for ``roost status``."""
        member = self._members[name]
        alive = member.alive
        row = {
            "role": member.role,
            "name": name,
            "pid": alive.pid if alive else None,
            "node": alive.node if alive else None,
            "state": self.state(name, now_ms),
            "release": alive.release if alive else None,
        }
        return row if member.may_own else row | {"detail": "coming or leaving"}

    def settled(self, now_ms: int) -> bool:
        """Whether every role has answered once, or had its time: before that no first map is made."""
        return all(m.alive is not None or now_ms - m.since_ms > _FIRST_START_MS for m in self.members())

    def serving(self, role: str, owners: Iterable[str], now_ms: int) -> list[str]:
        """Return who of the role may own shards now.

        Args:
            role: ``host``, ``router`` or ``pusher``.
            owners: Who owns shards so far: an owner that has not answered to us yet may be alive all the
                same (it is we who are new), so it is given time.
            now_ms: The time.
        """
        owning = set(owners)
        return [m.name for m in self.members(role) if self._serves(m, m.name in owning, now_ms)]

    def _serves(self, member: Member, owner: bool, now_ms: int) -> bool:  # noqa: FBT001 -- a fact, not a mode
        if not member.may_own:
            return False
        state = self.state(member.name, now_ms)
        if state == RUNNING:
            return True
        if state == STARTING:
            return owner and now_ms - member.since_ms <= self._patience.grace_ms
        grace_ms, hang_ms = self._patience.grace_ms, 2 * self._patience.silence_ms
        longest_ms = grace_ms if state == RESTARTING else min(grace_ms, hang_ms)
        return member.role == "host" and owner and now_ms - member.heard_ms <= longest_ms


def waiting_for(status: dict[str, Any], otherwise: str) -> str:
    """Return the roles that a coordinator's status says are not at work, or what else is waited for."""
    rows = [row for row in status.get("roles", ()) if row["state"] != RUNNING or row.get("detail")]
    return ", ".join(f"{row['name']} ({row.get('detail') or row['state']})" for row in rows) or otherwise
