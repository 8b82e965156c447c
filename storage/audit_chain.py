"""The chain of the audit log: each entry's digest covers the one before it. Pure.

    entry 1   previous ''         digest a1..
    entry 2   previous a1..       digest 7c..    covers its own fields, its number and a1..

What is changed, removed or put in between does not fit to what follows. The end can only be compared with a
head that was noted elsewhere: whoever can write the store can cut the chain, or make a new one.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, structs

from roost.signing import canonical_json

_TEXT_MAX: Final = 500
_ODD: Final = "\ufffd"


class Act(Struct, frozen=True):
    """What someone did, or tried to.

    Attributes:
        actor: Who: ``user:NAME`` over HTTP, ``operator:LOGIN@MACHINE`` on the command line,
            ``coordinator`` by schedule.
        act: What, as a word: ``admin.grant``, ``scale``, ``keys.rotate``.
        target: To what.
        outcome: ``requested``, ``done``, or ``refused: why`` and ``failed: why``.
    """

    actor: str
    act: str
    target: str
    outcome: str


class AuditEntry(Struct, frozen=True):
    """An act at its place in the chain.

    Attributes:
        number: 1, 2, 3 ...
        at_ms: When, by the clock of who wrote it.
        actor: See `Act`, likewise the next three.
        previous: Digest of the entry before it, empty for the first.
        digest: SHA-256, in hexadecimal, of the canonical JSON of all other fields.
    """

    number: int
    at_ms: int
    actor: str
    act: str
    target: str
    outcome: str
    previous: str
    digest: str = ""

    @property
    def head(self) -> str:
        """The place and the digest, as they are noted: ``NUMBER:DIGEST``."""
        return f"{self.number}:{self.digest}"


def following(last: AuditEntry | None, act: Act, at_ms: int) -> AuditEntry:
    """Return the entry of an act behind the last one."""
    number, previous = (1, "") if last is None else (last.number + 1, last.digest)
    actor, what, target, outcome = map(_plain, structs.astuple(act))
    return _sealed(AuditEntry(number, at_ms, actor, what, target, outcome, previous))


def faults(entries: Iterable[AuditEntry], noted_head: str | None = None) -> list[str]:
    """Return what is wrong with a chain, a sentence each.

    Args:
        entries: All of them, in the order of their numbers.
        noted_head: A head that was noted earlier, which must be in the chain.
    """
    found: list[str] = []
    number, previous, heads = 0, "", set()
    for entry in entries:
        if entry.number != number + 1:
            found.append(f"Entry {number + 1} is missing: entry {entry.number} comes after {number}.")
        elif entry.previous != previous:
            found.append(f"Entry {entry.number} does not follow the entry {number} that is there.")
        if entry.digest != _sealed(entry).digest:
            found.append(f"Entry {entry.number} was changed: its digest does not fit.")
        number, previous = entry.number, entry.digest
        heads.add(entry.head)
    if noted_head is not None and noted_head not in heads:
        found.append(f"The noted entry {noted_head} is not there: the end was cut off, or all was rewritten.")
    return found


def _sealed(entry: AuditEntry) -> AuditEntry:
    fields = structs.asdict(entry)
    del fields["digest"]
    return structs.replace(entry, digest=hashlib.sha256(canonical_json(fields)).hexdigest())


def _plain(text: str) -> str:
    """Return the text as it may be printed: what is in it comes from outside."""
    return "".join(char if char.isprintable() else _ODD for char in text[:_TEXT_MAX])
