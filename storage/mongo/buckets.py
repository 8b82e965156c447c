"""Buckets: neighbouring entries of one mailbox in one document. Pure.

A bucket holds every entry of its user between its first and its last one. It is inserted once and never
changed, and its ``_id`` names both ends, so inserting it again changes nothing. A replay may cut the same
entries elsewhere: then two buckets overlap, and hold the same bytes where they do.

    before a crash   [1 2 3 4 5] [6 7]
    the replay       [4 5 6] [7 8]          entries 4 to 7 are there twice, and are read once

On the embedded store a document costs about 75 us of CPU, whether it holds one entry or twenty.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from roost.ids import MESSAGE_ID_AHEAD_MS, uuid7
from storage.mailbox_rows import MailboxDocument
from storage.mongo.driver import Document
from storage.records import without_content

SPAN: Final = 2**14
"""A bucket's last seq is less than this above its first: who looks for an entry knows how far to look."""

_ENTRIES: Final = 64
_BYTES: Final = 512 * 1024
"""Bounds of one bucket; a larger entry is a bucket by itself."""


class _Entry(Struct, array_like=True, frozen=True):
    """An entry inside a bucket: `MailboxDocument` without the user."""

    seq: int
    prev: int
    kind: str
    sender: str
    sender_device: str
    cause: str
    at_ms: int
    record: bytes
    newest: str = ""
    messages: int = 0
    size: int = 0
    expires_at_ms: int = 0
    silent: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Entry]).decode


def buckets(entries: Iterable[MailboxDocument]) -> Iterator[Document]:
    """Cut entries into buckets.

    Args:
        entries: Of any users in any order; of each user all between its first and its last, some perhaps
            twice.
    """
    in_order = sorted(entries, key=lambda entry: (entry.user, entry.seq))
    for user, mine in groupby(in_order, key=lambda entry: entry.user):
        for run in _runs(mine):
            yield _bucket(user, run)


def entries_of(document: Document) -> list[MailboxDocument]:
    """Return the entries of a bucket, or the one of a document from before there were buckets."""
    packed = document.get("e")
    if packed is None:
        return [_single(document)]
    user = document["u"]
    return [MailboxDocument(user, *astuple(entry)) for entry in _decode(packed)]


def spans(document: Document, seq: int) -> bool:
    """Return whether an entry with this number would be in the bucket: it may be beyond its end."""
    first = document["_id"].split("|")[1] if "e" in document else f"{document['s']:014x}"
    return int(first, 16) <= seq <= int(document["s"])


def emptied(document: Document, seq: int) -> Document | None:
    """Return the fields to set so that one entry has no content left; None if there is nothing to do."""
    packed = document.get("e")
    if packed is None:
        return None  # of a release that knew no entry that is to be emptied
    entries = _decode(packed)
    found = [
        replace(each, record=without_content(each.record)) if each.seq == seq else each for each in entries
    ]
    return None if found == entries else {"e": _encode(found)}


def _runs(entries: Iterable[MailboxDocument]) -> Iterator[list[MailboxDocument]]:
    run: list[MailboxDocument] = []
    size = 0
    for entry in entries:
        if run and entry.seq == run[-1].seq:
            continue
        full = len(run) >= _ENTRIES or size + len(entry.record) > _BYTES
        if run and (full or entry.seq - run[0].seq >= SPAN):
            yield run
            run, size = [], 0
        run.append(entry)
        size += len(entry.record)
    if run:
        yield run


def _bucket(user: str, run: Sequence[MailboxDocument]) -> Document:
    first, last = run[0].seq, run[-1].seq
    packed = [astuple(entry)[1:] for entry in run]  # the places of `_Entry`
    return {"_id": f"{user}|{first:014x}|{last:014x}", "u": user, "s": last, "e": _encode(packed)}


def _single(found: Document) -> MailboxDocument:
    """Read a document that holds one entry. Its ``n`` said less than ``newest``, so the time bounds it."""
    return MailboxDocument(
        user=found["u"],
        seq=found["s"],
        prev=found["p"],
        kind=found["k"],
        sender=found["f"],
        sender_device=found["d"],
        cause=found["i"],
        at_ms=found["a"],
        record=found["r"],
        newest=uuid7(found["a"] + 2 * MESSAGE_ID_AHEAD_MS, b"\xff" * 10),
    )
