"""The envelope: content as the bytes that are sealed, and as plain members for JSON.

Content that does not begin with the mark is text (or an app's own bytes). The mark cannot begin any text,
since 0xFF is no part of UTF-8:

    envelope = 0xFF "roost" | version (1 byte, 1) | JSON object with the member "kind"

A reader ignores members that it does not know. A kind or version that it does not know is shown as such.
"""

from typing import Any, Final

import msgspec

from roost.client.content.kinds import KINDS, Content, Known, Text, Unknown
from roost.wire import from_base64

MAX_CONTENT: Final = 60 * 1024
"""Bytes of one message's content; sealed and padded it stays below the server's limit."""

_MARK: Final = b"\xffroost"
_VERSION: Final = b"\x01"
_KIND_MAX: Final = 32
_BINARY: Final = {"key", "sha256", "thumbnail"}
_NAMES: Final = {kind: name for name, kind in KINDS.items()}


def encode(content: Known) -> bytes:
    """Return what is sealed: text as it is, anything else in an envelope.

    Raises:
        TypeError: It is none of the kinds.
        ValueError: It is longer than `MAX_CONTENT`, or has half a character of UTF-16.
    """
    if type(content) not in _NAMES:
        raise TypeError(
            f"a message is text, bytes or a kind of roost.client.content, and not {type(content).__name__}"
        )
    if isinstance(content, Text) and content.reply_to is None:
        data = content.text.encode()
    else:
        data = _MARK + _VERSION + msgspec.json.encode(to_members(content))
    if len(data) > MAX_CONTENT:
        raise ValueError(f"a message has at most {MAX_CONTENT} bytes: send long text as a file")
    return data


def read(data: bytes) -> Content:
    """Return what a message contains, whoever wrote it; nothing is raised."""
    if not data.startswith(_MARK):
        return Text(data.decode(errors="replace"))
    body = data[len(_MARK) + 1 :]
    if data[len(_MARK) : len(_MARK) + 1] != _VERSION:
        return Unknown("newer")
    if len(data) > MAX_CONTENT:
        return Unknown("malformed")
    try:
        return from_members(msgspec.json.decode(body, type=dict[str, Any]))
    except (ValueError, RecursionError):
        return Unknown("malformed")


def to_members(content: Known) -> dict[str, Any]:
    """Return the members of an envelope with this content, binary values in base64."""
    members: dict[str, Any] = {"kind": _NAMES[type(content)], **msgspec.to_builtins(content)}
    file = members.get("file", {})
    for name in _BINARY & file.keys():
        file[name] = file[name].rstrip("=")
    return members


def from_members(members: dict[str, Any]) -> Content:
    """Return the content of an envelope with these members; `Unknown` if it has not its form."""
    name = members.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        shown = isinstance(name, str) and name.isascii() and name.isprintable() and 0 < len(name) <= _KIND_MAX
        return Unknown(str(name) if shown else "malformed")
    try:
        return msgspec.convert(_with_bytes(members), kind)
    except ValueError:
        return Unknown("malformed")


def _with_bytes(members: dict[str, Any]) -> dict[str, Any]:
    file = members.get("file")
    if not isinstance(file, dict):
        return members
    return members | {
        "file": {
            name: from_base64(value) if name in _BINARY and isinstance(value, str) else value
            for name, value in file.items()
        }
    }
