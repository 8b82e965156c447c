"""The guards against the attacks of ``docs/attacks.md``: what stands in our code, and what is left.

The tables beside this name them, by the part of the code that they are in. ``test_guards.py`` takes
out one at a time (``make security-test``) and requires the tests of its attacks to fail. Each text of
``changes`` is in the file exactly once; what stands beside it is put in its place. Where an attack is
held off by two guards, both are taken out. For attacks on a running system (``tests/field``) all guards are
taken out together, but for those that say ``alone``.

The other attacks are listed as ``unremovable``, with the reason why no text of ours is taken out.
"""

import tomllib
from pathlib import Path

from msgspec import Struct, convert


class Guard(Struct, frozen=True):
    """What holds off some attacks, all in the same way.

    Attributes:
        attacks: Their names.
        file: Where it stands.
        changes: Its text, and what stands there when it is taken out.
        more: The same of further files, where a second guard holds off the same attacks.
        alone: Tests of other attacks on a running system do not work without it.
    """

    attacks: list[str]
    file: str
    changes: list[tuple[str, str]]
    more: dict[str, list[tuple[str, str]]] = {}
    alone: bool = False

    def all_changes(self) -> list[tuple[str, str, str]]:
        """Return each change: the file, what stands there, and what is put in its place."""
        files = {self.file: self.changes} | self.more
        return [(file, *change) for file, changes in files.items() for change in changes]


class Unremovable(Struct, frozen=True):
    """Attacks whose guard is not taken out.

    Attributes:
        attacks: Their names.
        why: What holds them off instead, or who tries it elsewhere. A few words, for a column of a table.
    """

    attacks: list[str]
    why: str


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """One file of guards.

    Attributes:
        guards: Those that can be taken out.
        unremovable: Attacks that are held off by something else.
    """

    guards: list[Guard] = []
    unremovable: list[Unremovable] = []


def tables() -> list[Table]:
    """Return every table of guards."""
    files = sorted(Path(__file__).parent.glob("*.toml"))
    return [convert(tomllib.loads(file.read_text(encoding="utf-8")), Table) for file in files]


def guards() -> list[Guard]:
    """Return every guard that can be taken out."""
    return [guard for table in tables() for guard in table.guards]


def guarded() -> dict[str, Guard]:
    """Return the guard of each attack that has one here."""
    return {attack: guard for guard in guards() for attack in guard.attacks}


def unremovable() -> dict[str, str]:
    """Return why the guard is not taken out, for each attack of which that is said."""
    return {attack: row.why for table in tables() for row in table.unremovable for attack in row.attacks}
