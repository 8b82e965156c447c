"""The limits of the system that is tried: what it sweeps, and when a mailbox is full.

A system of the harness's own is started with them; of one that runs already they are taken on trust. Without
any a run is too short for the product's own to matter.
"""

from typing import Final, Self

from msgspec import Struct, structs

_DAY_S: Final = 86_400
_ACCESS_S: Final = 10
"""Lifetime of access tokens, the shortest there is: a device's use shows when it renews one."""

_SHORTEST_S: Final = 60.0
"""A run that is to see devices forgotten lasts so long at least: they use more than one token."""


class BadLimits(ValueError):  # noqa: N818 -- named for what happened
    """The limits cannot be read, or are of no use; the sentence says how they are written."""


class Limits(Struct, frozen=True):
    """What goes from mailboxes, and what does not come in. 0: without limit.

    Attributes:
        entry_s: Age of an entry that may go.
        delivered_s: Age of one that may go when every device in use has acknowledged it.
        device_s: A device that was not used for so long no longer holds entries back.
        kept: Messages kept in a mailbox.
        waiting: Messages that no device has acknowledged; more are refused.
        erase_s: From asking for the erasure of an account to its beginning.
    """

    entry_s: float = 0
    delivered_s: float = 0
    device_s: float = 0
    kept: int = 0
    waiting: int = 0
    erase_s: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``entry=30s,device=20s,kept=80,waiting=30``; each name at most once, seconds with an s.

        Raises:
            BadLimits: It is not written like this.
        """
        given: dict[str, float | int] = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            field = f"{name}_s" if value.endswith("s") else name
            number = value.removesuffix("s")
            if field not in cls.__struct_fields__ or field in given or not _is_number(number, field):
                raise BadLimits(
                    "Limits are written like entry=30s,delivered=15s,device=25s,kept=80,waiting=30,erase=0s, "
                    f"any of them, not {text!r}."
                )
            given[field] = float(number) if field in {"entry_s", "delivered_s", "device_s"} else int(number)
        return cls(**given)  # type: ignore[arg-type]  # the names are those of the fields

    @classmethod
    def small(cls, duration_s: float) -> Self:
        """Return limits that all show in a run of this length.

        Raises:
            BadLimits: It is too short for any.
        """
        if duration_s < _SHORTEST_S:
            raise BadLimits(f"This scenario needs {_SHORTEST_S:g} s at least, or limits of its own (--keep).")
        return cls(duration_s / 5, duration_s / 8, duration_s / 4, 80, 30, 0)

    @property
    def sweeps(self) -> bool:
        """Whether messages go that a device may not have had."""
        return bool(self.entry_s or self.delivered_s or self.kept)

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of ``roost up`` says, for it to have these limits."""
        days = {"ENTRY": self.entry_s, "DELIVERED": self.delivered_s, "DEVICE": self.device_s}
        found = {f"ROOST_RETENTION__{name}_DAYS": f"{s / _DAY_S:.12f}" for name, s in days.items() if s}
        if self.kept:
            found["ROOST_RETENTION__MAILBOX_MESSAGES"] = str(self.kept)
        if self.waiting:
            found["ROOST_QUOTA__MESSAGES"] = str(self.waiting)
        if found:
            found |= {"ROOST_RETENTION__SWEEP_EVERY_S": "3", "ROOST_RETENTION__SWEEP_PAUSE_MS": "1"}
            found |= {"ROOST_TOKENS__ACCESS_S": str(_ACCESS_S)}
        return found | {"ROOST_RETENTION__ERASE_AFTER_S": str(self.erase_s)}

    def __str__(self) -> str:
        """Return them as they are written."""
        given = {name: value for name, value in structs.asdict(self).items() if value}
        return ",".join(
            f"{name.removesuffix('_s')}={value:g}{'s' if name.endswith('_s') else ''}"
            for name, value in given.items()
        )


def _is_number(text: str, field: str) -> bool:
    whole = field in {"kept", "waiting", "erase_s"}
    return text.isdecimal() or (not whole and text.replace(".", "", 1).isdecimal())
