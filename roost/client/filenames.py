"""Names of files that others give: made harmless, whatever system they are kept on."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

_NO_NAME: Final = "file"
_NAME_BYTES: Final = 200
"""Bytes of a name; folders take 255, and a number may follow."""

_NOT_IN_NAMES: Final = frozenset('<>:"/\\|?*')
_DEVICES: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])( *\..*)?", re.IGNORECASE
)
"""Windows opens the device, whatever follows the dot."""


def safe_name(name: str) -> str:
    """Return a name that stays in its folder, is no device and hidden nowhere, and reads as it is.

    Only the part behind the last separator counts. Control and format characters go (those that turn the
    reading direction make ``exe.jpg`` of ``gpj.exe``), as do leading dots and dashes and trailing dots.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    plain = "".join(
        char for char in last if char not in _NOT_IN_NAMES and unicodedata.category(char)[0] != "C"
    )
    plain = " ".join(plain.split()).lstrip(".-~ ").rstrip(". ")
    if _DEVICES.fullmatch(plain):
        plain = f"{_NO_NAME}-{plain}"
    return _shortened(plain) or _NO_NAME


def numbered(name: str) -> Iterator[str]:
    """Yield the name, then the same with a number before its ending."""
    yield name
    path = PurePath(name)
    for number in range(2, 10_000):
        yield f"{path.stem} ({number}){path.suffix}"


def _shortened(name: str) -> str:
    if len(name.encode()) <= _NAME_BYTES:
        return name
    path = PurePath(name)
    ending = path.suffix if len(path.suffix.encode()) <= _NAME_BYTES // 4 else ""
    stem = name.encode()[: _NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    return stem.rstrip(". ") + ending
