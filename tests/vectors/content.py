"""Vectors of what messages contain: bytes, and what Python reads in them; names, and what is left of them."""

from typing import Any, Final

from roost.client.content import (
    Attachment,
    Delete,
    Edit,
    FileReference,
    Known,
    Linked,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    Unknown,
    encode,
    read,
    to_members,
)
from roost.client.filenames import safe_name
from roost.ids import uuid7
from roost.wire import unpadded

_ID: Final = uuid7(1_795_000_000_000, bytes(range(10)))
_KEY, _DIGEST = bytes(range(32)), bytes(range(32, 64))
_JPEG: Final = b"\xff\xd8\xff\xe0" + bytes(20)
_HEAD: Final = b"\xffroost\x01"

_KNOWN: Final[tuple[Known, ...]] = (
    Text("hello"),
    Text("Grüße 🦉\n", _ID),
    Attachment(FileReference("abc-_9", _KEY, _DIGEST, 0)),
    Attachment(
        FileReference("x" * 43, _KEY, _DIGEST, 2**53 - 1, "ä.jpg", "image/jpeg", 4, 65_535, _JPEG), "see", _ID
    ),
    Reaction(_ID, "👩🏽‍❤️‍💋‍👨🏿"),
    Reaction(_ID, ""),
    Edit(_ID, "better"),
    Delete(_ID),
    Timer(None),
    Timer(60),
    ReadUpTo("bob", 7),
    Linked("NEWDEVICE", unpadded(b"sealed"), unpadded(_KEY)),
)

_FILE: Final = '"media_id":"m","key":"%s","sha256":"%s","size":1' % (unpadded(_KEY), unpadded(_DIGEST))  # noqa: UP031
_ODD: Final[tuple[bytes, ...]] = (
    b"",
    b"\xff",
    b"\xffroost",
    b"\xffroost\x02{}",
    b"\xfe\xffnot text",
    _HEAD,
    _HEAD + b"[]",
    _HEAD + b"{",
    _HEAD + b'{"kind":"poll"}',
    _HEAD + b'{"kind":"' + b"k" * 33 + b'"}',
    _HEAD + b'{"kind":"\xc3\xa4"}',
    _HEAD + b'{"kind":""}',
    _HEAD + b'{"kind":7}',
    _HEAD + b'{"kind":"text"}',
    _HEAD + b'{"kind":"text","text":7}',
    _HEAD + b'{"kind":"text","text":"a","reply_to":null,"more":1}',
    _HEAD + b'{"kind":"text","text":"a","reply_to":"x"}',
    _HEAD + b'{"kind":"timer"}',
    _HEAD + b'{"kind":"timer","expires_in_s":0}',
    _HEAD + b'{"kind":"timer","expires_in_s":2419201}',
    _HEAD + b'{"kind":"timer","expires_in_s":"60"}',
    _HEAD + b'{"kind":"read","peer":"Bob","seq":1}',
    _HEAD + b'{"kind":"read","peer":"bob","seq":-1}',
    _HEAD + b'{"kind":"reaction","to":"%s","emoji":"\\u202e"}' % _ID.encode(),
    _HEAD + b'{"kind":"reaction","to":"%s","emoji":"%s"}' % (_ID.encode(), b"a" * 65),
    _HEAD + b'{"kind":"reaction","to":"%s"}' % _ID.upper().encode(),
    _HEAD + b'{"kind":"file","file":{%s}}' % _FILE.encode(),
    _HEAD + b'{"kind":"file","file":{%s,"name":null}}' % _FILE.encode(),
    _HEAD + b'{"kind":"file","file":{%s,"name":"%s"}}' % (_FILE.encode(), b"n" * 256),
    _HEAD + b'{"kind":"file","file":{%s,"width":0}}' % _FILE.encode(),
    _HEAD + b'{"kind":"file","file":{%s,"thumbnail":"AAAA"}}' % _FILE.encode(),
    _HEAD + b'{"kind":"file","file":{"media_id":"../x"}}',
    _HEAD + b'{"kind":"linked","device":"D","sealed":"","proof":"%s"}' % unpadded(_KEY).encode(),
    _HEAD + b'{"kind":"linked","device":"D","sealed":"AAAA","proof":"AAAA"}',
)

_NAMES: Final = (
    *("plain.txt", "../../etc/passwd", "C:\\dir\\x.exe", "con.txt", "LPT1", ".hidden", "a\u202egpj.exe"),
    *("  a  b ", "", "...", "a" * 300 + ".jpeg", "ü" * 150 + ".tar.gz", "tab\there", "e\u0301.txt"),
    *("<b>.html", "~$x.doc"),
)


def vectors() -> dict[str, Any]:
    """Return all of them."""
    return {
        "known": [{"content": unpadded(encode(each)), "is": to_members(each)} for each in _KNOWN],
        "odd": [{"content": unpadded(each), "is": _read(each)} for each in _ODD],
        "names": [[name, safe_name(name)] for name in _NAMES],
    }


def _read(content: bytes) -> dict[str, Any]:
    found = read(content)
    return {"kind": "unknown", "name": found.kind} if isinstance(found, Unknown) else to_members(found)
