"""What a message contains, once it is opened: text, or an envelope that says what it is.

Content that does not begin with the mark is text (or an app's own bytes), as it always was. The mark cannot
begin any text, since 0xFF is no part of UTF-8:

    envelope = 0xFF "roost" | version (1 byte, 1) | JSON object with the member "kind"

A reader ignores members that it does not know. A kind or version that it does not know is shown as such.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from roost import wire
from roost.client.filenames import safe_name

_MARK: Final = b"\xffroost"
_VERSION: Final = 1
_KEY_BYTES: Final = 32
_SIZE_LIMIT: Final = 2**53
_KIND_MAX: Final = 32
_TYPE_MAX: Final = 255

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are through."""


class FileReference(Struct, frozen=True):
    """Where a file is, and what opens it.

    Attributes:
        media_id: The server's name for it.
        key: 32 bytes that opens it.
        sha256: Digest of what the server has.
        size: Bytes of the file itself.
        name: Its name, as the sender gave it: not to be trusted.
        type: Its media type, likewise.
    """

    media_id: str
    key: bytes
    sha256: bytes
    size: int
    name: str
    type: str

    def __repr__(self) -> str:
        return f"FileReference(size={self.size}, name={self.name!r})"  # the key is in no log

    def encoded(self) -> bytes:
        """Return the content of the message that carries it."""
        members = msgspec.structs.asdict(self)
        file = members | {"key": wire.unpadded(self.key), "sha256": wire.unpadded(self.sha256)}
        return _MARK + bytes((_VERSION,)) + msgspec.json.encode({"kind": "file", "file": file})


class Unknown(Struct, frozen=True):
    """Content of a kind that this version does not know, or that has not its form."""

    kind: str


class File:
    """A file in a message that was received.

    Args:
        reference: Where it is.
        fetch: Gets it.

    Attributes:
        name: A name for it in a folder: the sender's, without what could lead elsewhere or deceive.
        size: Its bytes.
        type: Its media type, as the sender says.
    """

    __slots__ = ("_fetch", "_reference", "name", "size", "type")

    def __init__(
        self,
        reference: FileReference,
        fetch: Callable[[FileReference, Path, Progress | None], Awaitable[Path]],
    ) -> None:
        self._reference, self._fetch = reference, fetch
        self.name = safe_name(reference.name)
        self.size, self.type = reference.size, reference.type

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, size={self.size})"

    async def save(self, path: str | Path, progress: Progress | None = None) -> Path:
        """Download it; it appears under its name when all of it is there and verified.

        A connection that breaks is taken up where it broke.

        Args:
            path: A folder, in which it gets its own name, or that with a number if it is taken; or the path
                of the file, which is replaced.
            progress: Is told how far it is.

        Returns:
            Where it is.

        Raises:
            FileBroken: It is not what was sent; nothing is left of it.
            RoostError: ``unknown_media``: it is no longer there; or another answer of the server.
            Unavailable: The server cannot be reached, also after some attempts.
            OSError: It cannot be written.
        """
        return await self._fetch(self._reference, Path(path), progress)


def read(content: bytes) -> FileReference | Unknown | None:
    """Return what an envelope holds, None if the content is none."""
    if not content.startswith(_MARK):
        return None
    version, body = content[len(_MARK) : len(_MARK) + 1], content[len(_MARK) + 1 :]
    if version != bytes((_VERSION,)):
        return Unknown("newer")
    try:
        members = msgspec.json.decode(body, type=dict[str, Any])
    except (ValueError, RecursionError):
        return Unknown("malformed")
    kind = members.get("kind")
    if kind == "file":
        return _file(members.get("file")) or Unknown("malformed")
    known_form = isinstance(kind, str) and kind.isascii() and kind.isprintable() and len(kind) <= _KIND_MAX
    return Unknown(str(kind) if known_form else "malformed")


def _file(members: Any) -> FileReference | None:
    try:
        found = msgspec.convert(members, _FileMembers)
        key, sha256 = wire.from_base64(found.key), wire.from_base64(found.sha256)
    except ValueError:
        return None
    if len(key) != _KEY_BYTES or len(sha256) != _KEY_BYTES or not 0 <= found.size < _SIZE_LIMIT:
        return None
    return FileReference(found.media_id, key, sha256, found.size, found.name, found.type[:_TYPE_MAX])


class _FileMembers(Struct):
    media_id: str
    key: str
    sha256: str
    size: int
    name: str = ""
    type: str = "application/octet-stream"
