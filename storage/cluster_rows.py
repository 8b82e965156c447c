"""Rows of what the cluster knows of itself: its log, its roles, and records that could not be handled."""

from msgspec import Struct


class DeadLetter(Struct, frozen=True):
    """A record that could not be handled, with the reason."""

    topic: str
    shard: int
    offset: int
    reason: str
    value: bytes
    at_ms: int


class KeptLetter(Struct, frozen=True):
    """A dead letter in the store.

    Attributes:
        id: ``topic:shard:offset:digest``; of a wake-up ``push:user:device``.
        letter: It.
        retried_at_ms: When it was written back to its topic, 0: it was not.
        retried_by: By whom, as the audit log names them.
    """

    id: str
    letter: DeadLetter
    retried_at_ms: int = 0
    retried_by: str = ""


class LogState(Struct, frozen=True):
    """Where one shard's log stands.

    Attributes:
        shard: Shard number.
        base: seq = base + offset, for this incarnation of the log.
        stored: Everything below this offset is in the stores (may lag by a second).
        pushes: Rises whenever the shard's wake-ups start over, so that no offset is taken for another log's.
        before: Numbers of earlier logs, and of the shard that this one's users came from, which
            were handled: ``begin <= seq < end``, newest last. The oldest are forgotten.
    """

    shard: int
    base: int
    stored: int
    pushes: int = 0
    before: tuple[tuple[int, int], ...] = ()

    def handled(self, seq: int) -> bool:
        """Return whether the record with this number was handled: it is stored, or went nowhere for a reason.

        It must not be seen which: a record that went nowhere is one whose sender is blocked.
        """
        return any(begin <= seq < end for begin, end in self.spans())

    def spans(self) -> tuple[tuple[int, int], ...]:
        """Return the numbers that were handled, as in ``before``."""
        now = (self.base, self.base + self.stored)
        return (*self.before, now) if self.stored else self.before


class StoredRoster(Struct, frozen=True):
    """Which roles there are to be.

    Attributes:
        counts: Number of each role in the settings that this was made from; others make a new one.
        names: Names of the roles, each of the form ``role-number``.
        cordoned: Ray's names of the cordoned machines: no role is to be there.
        coming: Names of those who come in the change that is being made.
        going: Names of those who go in it.
        processes: Process of each role or spare that is not in the one made for it, by name.
    """

    counts: dict[str, int]
    names: tuple[str, ...]
    cordoned: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    going: tuple[str, ...] = ()
    processes: dict[str, str] = {}
