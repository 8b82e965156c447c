"""The kinds of content that a message may have.

Each is made valid or not at all: a member out of its bounds is a ``ValueError``, whether an app made it or a
peer sent it. Types of members are checked when content is read.
"""

import re
from typing import Final

from msgspec import Struct

from roost.ids import SEQ_LIMIT, fold_username, uuid7_ms
from roost.wire import MAX_EXPIRY_S, from_base64

THUMBNAIL_MAX: Final = 8 * 1024
"""Bytes of a thumbnail."""

NAME_MAX: Final = 255
"""Bytes of a file's name, and of its media type, in UTF-8."""

EMOJI_MAX: Final = 64
"""Bytes of a reaction, in UTF-8: a kiss of two people with two colours of skin has 35."""

_DEVICE_MAX: Final = 64
_SIDE_MAX: Final = 65_535
_KEY_BYTES: Final = 32
_MEDIA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PICTURES: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP", re.DOTALL)
_DECEIVING: Final = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls, line ends, and what turns the reading direction. Joiners and tags are parts of emoji."""


class FileReference(Struct, frozen=True, omit_defaults=True):
    """Where a file is, and what opens it.

    Attributes:
        media_id: The server's name for it.
        key: 32 bytes that opens it.
        sha256: Digest of what the server has.
        size: Bytes of the file itself.
        name: Its name, as the sender gave it: not to be trusted.
        type: Its media type, likewise.
        width: Of a picture or video, in pixels, as the sender says.
        height: Likewise.
        thumbnail: A small JPEG, PNG or WebP, at most `THUMBNAIL_MAX` bytes.
    """

    media_id: str
    key: bytes
    sha256: bytes
    size: int
    name: str = ""
    type: str = "application/octet-stream"
    width: int | None = None
    height: int | None = None
    thumbnail: bytes | None = None

    def __post_init__(self) -> None:
        _check(_MEDIA_ID.fullmatch(self.media_id) is not None, "a media id is letters, digits, - and _")
        _check(len(self.key) == _KEY_BYTES == len(self.sha256), "a file's key and digest are 32 bytes each")
        _check(0 <= self.size < SEQ_LIMIT, "a file's size is below 2**53")
        _check(
            max(_length(self.name), _length(self.type)) <= NAME_MAX,
            f"a file's name and type are at most {NAME_MAX} bytes each",
        )
        sides = (side for side in (self.width, self.height) if side is not None)
        _check(all(0 < side <= _SIDE_MAX for side in sides), f"a side is 1 to {_SIDE_MAX} pixels")
        small = self.thumbnail
        _check(
            small is None or (len(small) <= THUMBNAIL_MAX and _PICTURES.match(small) is not None),
            f"a thumbnail is a JPEG, PNG or WebP of at most {THUMBNAIL_MAX} bytes",
        )

    def __repr__(self) -> str:
        return f"FileReference(size={self.size}, name={self.name!r})"  # the key is in no log


class _Kind(Struct, frozen=True, omit_defaults=True):
    """Content of one kind."""


class Text(_Kind, frozen=True):
    """Text; ``reply_to`` is the message that it answers."""

    text: str
    reply_to: str | None = None

    def __post_init__(self) -> None:
        _check_id(self.reply_to)


class Attachment(_Kind, frozen=True):
    """A file, with a line of text about it."""

    file: FileReference
    caption: str | None = None
    reply_to: str | None = None

    def __post_init__(self) -> None:
        _check_id(self.reply_to)


class Reaction(_Kind, frozen=True):
    """What its author thinks of the message ``to``; a later one replaces it, ``""`` takes it away."""

    to: str
    emoji: str

    def __post_init__(self) -> None:
        _check_id(self.to)
        _check(_length(self.emoji) <= EMOJI_MAX, f"a reaction is at most {EMOJI_MAX} bytes")
        _check(_DECEIVING.search(self.emoji) is None, "a reaction has no control characters")


class Edit(_Kind, frozen=True):
    """The text that the message ``of``, of the same author, has from now on."""

    of: str
    text: str

    def __post_init__(self) -> None:
        _check_id(self.of)


class Delete(_Kind, frozen=True):
    """The message ``of``, of the same author, is to be shown no longer, on either side."""

    of: str

    def __post_init__(self) -> None:
        _check_id(self.of)


class Timer(_Kind, frozen=True):
    """Messages of this conversation disappear after so many seconds from now on; None: they stay."""

    expires_in_s: int | None

    def __post_init__(self) -> None:
        seconds = self.expires_in_s
        _check(seconds is None or 0 < seconds <= MAX_EXPIRY_S, f"a timer is 1 to {MAX_EXPIRY_S} seconds")


class ReadUpTo(_Kind, frozen=True):
    """Another device of this user has read everything from ``peer`` up to ``seq``.

    It means something from one's own devices only: whoever shows it looks at the sender.
    """

    peer: str
    seq: int

    def __post_init__(self) -> None:
        _check(fold_username(self.peer) == self.peer, "a username is in lower case")
        _check(0 <= self.seq < SEQ_LIMIT, "a number of a mailbox is from 0 to 2**53 - 1")


class Linked(_Kind, frozen=True):
    """The answer of the device that has read the code of the new device ``device`` of the same user.

    It means something from one's own devices only, and to the new one: see `roost.crypto.link_code`.
    Binary values are in base64.
    """

    device: str
    sealed: str
    proof: str

    def __post_init__(self) -> None:
        _check(0 < _length(self.device) <= _DEVICE_MAX, f"a device id is at most {_DEVICE_MAX} bytes")
        _check(len(from_base64(self.proof)) == _KEY_BYTES, "a proof is 32 bytes")
        _check(len(from_base64(self.sealed)) > 0, "an answer is sealed")


class Unknown(Struct, frozen=True):
    """Content of a kind that this version does not know (its name), or that has not its form."""

    kind: str


_Controls = Reaction | Edit | Delete | Timer | ReadUpTo | Linked
Known = Text | Attachment | Reaction | Edit | Delete | Timer | ReadUpTo | Linked
Content = Known | Unknown

KINDS: Final[dict[str, type[Known]]] = {
    "text": Text,
    "file": Attachment,
    "reaction": Reaction,
    "edit": Edit,
    "delete": Delete,
    "timer": Timer,
    "read": ReadUpTo,
    "linked": Linked,
}
"""The kinds by their names in an envelope."""


def is_control(content: Known) -> bool:
    """Return whether content changes what else is shown, and is sent silently."""
    return isinstance(content, _Controls)


def _check(holds: bool, rule: str) -> None:  # noqa: FBT001 - reads as the sentence that it is
    if not holds:
        raise ValueError(rule)


def _check_id(message_id: str | None) -> None:
    if message_id is not None:
        uuid7_ms(message_id)


def _length(text: str) -> int:
    return len(text.encode())
