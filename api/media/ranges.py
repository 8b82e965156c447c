"""The ``Range`` header (RFC 9110, 14): at most one range of a file."""

import re
from typing import Final, NamedTuple

from roost.errors import RoostError

_RANGE: Final = re.compile(r"[ \t]*([0-9]*)-([0-9]*)[ \t]*")
_DIGITS: Final = 18
"""More of them mean more than any file has."""


class Span(NamedTuple):
    """A part of a file: from ``begin`` up to ``end``."""

    begin: int
    end: int


def asked(header: str | None, size: int) -> Span | None:
    """Return what a request asks for, None for all of it.

    "A server MUST ignore a Range header field [...] with a range unit it does not understand", and one that
    has not the form may be ignored. Several ranges "ought to be [...] rejected" where they are many, small
    or overlapping: here, always.

    Raises:
        RoostError: ``range_not_satisfiable``: it begins behind the end, or there are several.
    """
    unit, found, text = (header or "").partition("=")
    if not found or unit.strip().lower() != "bytes":
        return None
    if "," in text:
        raise _refused("Ask for one range at a time.", size)
    matched = _RANGE.fullmatch(text)
    if matched is None or not any(matched.groups()):
        return None
    first, last = (_number(each) for each in matched.groups())
    if first is None:
        return _suffix(last or 0, size)
    if last is not None and last < first:
        return None
    if first >= size:
        raise _refused(f"The file has {size} bytes.", size)
    return Span(first, size if last is None else min(last + 1, size))


def _suffix(length: int, size: int) -> Span:
    if length == 0 or size == 0:
        raise _refused("A range of no bytes cannot be given.", size)
    return Span(max(size - length, 0), size)


def _number(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits.lstrip("0")) <= _DIGITS else 10**_DIGITS


def _refused(detail: str, size: int) -> RoostError:
    return RoostError("range_not_satisfiable", detail, size=size)
