"""The finding of a check: fine, a warning or a failure."""

from typing import Final, Literal

from msgspec import Struct

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"


class Finding(Struct, frozen=True):
    """The outcome of one check.

    Attributes:
        check: Which one.
        state: ``failed`` if the system cannot work or is open to others, ``warning`` if it works for now.
        detail: What is there.
        fix: What to do about it, one sentence; empty if nothing is to be done.
    """

    check: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    fix: str = ""


def ok(check: str, detail: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, OK, detail)


def warning(check: str, detail: str, fix: str) -> Finding:
    """It works, and will not always."""
    return Finding(check, WARNING, detail, fix)


def failed(check: str, detail: str, fix: str) -> Finding:
    """It does not work, or not as promised."""
    return Finding(check, FAILED, detail, fix)
