"""The guards against the attacks of ``docs/attacks.md``, as ``guards.toml`` beside this names them."""

import tomllib
from pathlib import Path

from msgspec import Struct, convert


class Guard(Struct, frozen=True):
    """What holds off some attacks, all in the same way.

    Attributes:
        attacks: Their names.
        file: Where it stands.
        changes: Its text, and what stands there when it is taken out.
    """

    attacks: list[str]
    file: str
    changes: list[tuple[str, str]]


def guards() -> list[Guard]:
    """Return every guard."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return convert(tomllib.loads(text)["guards"], list[Guard])


def guarded() -> dict[str, Guard]:
    """Return the guard of each attack that has one here."""
    return {attack: guard for guard in guards() for attack in guard.attacks}
