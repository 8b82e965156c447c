"""The form of conversation rows in MongoDB: sheets of them, with the names of the peers sealed.

The names of a sheet are sealed together, and open with the peers' ids in that order only. Most sheets have
one row, and the same pairs come again and again: the name in such a row is sealed once and kept.
"""

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from msgspec import structs

from storage.keyring import DataKey
from storage.mailbox_rows import Conversation
from storage.mongo.driver import Document

COLLECTION: Final = "conversations"

Rows = dict[str, Conversation]
"""The rows of one user by peer."""

_ROWS_OF_A_SHEET: Final = 2_000
_NUMBERS: Final = len(Conversation.__struct_fields__) - 3
_KEPT: Final = 20_000


class Sheets:
    """Makes sheets.

    Args:
        kept: Of so many pairs the sealed name is kept.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._most = kept
        self._sealed: OrderedDict[tuple[str, str, str], tuple[DataKey, bytes]] = OrderedDict()

    def of(self, user: str, rows: Iterable[Conversation], key: DataKey) -> Iterator[Document]:
        """Yield the documents of a user's rows."""
        rest = iter(rows)
        while chunk := list(islice(rest, _ROWS_OF_A_SHEET)):
            packed = [[row.peer, "", *structs.astuple(row)[3:]] for row in chunk]
            names = self._one(chunk[0], key) if len(chunk) == 1 else _sealed(user, chunk, key)
            yield {"_id": f"{user}|{uuid.uuid4().hex}", "u": user, "r": packed, "n": names}

    def _one(self, row: Conversation, key: DataKey) -> bytes:
        pair = (row.user, row.peer, row.peer_name)
        found = self._sealed.get(pair)
        if found is None or found[0] is not key:
            found = self._sealed[pair] = key, _sealed(row.user, [row], key)
            if len(self._sealed) > self._most:
                self._sealed.popitem(last=False)
        return found[1]


def renewed(sheet: Document, key: DataKey) -> Document:
    """Return the fields of a sheet of an earlier release as they are written today."""
    names = names_in(sheet, key)
    rows = [Conversation(sheet["u"], row[0], name) for row, name in zip(sheet["r"], names, strict=True)]
    return {"r": [[row[0], "", *row[2:]] for row in sheet["r"]], "n": _sealed(sheet["u"], rows, key)}


def names_in(sheet: Document, key: DataKey) -> list[str]:
    """Return the names of the peers of a sheet's rows; an earlier release left them in the rows.

    Raises:
        SealBroken: They were altered, or are another sheet's.
    """
    sealed = sheet.get("n")
    if sealed is None:
        return [key.unseal(COLLECTION, sheet["u"], "n", row[1]) for row in sheet["r"]]
    return key.unseal(COLLECTION, sheet["u"], _place(row[0] for row in sheet["r"]), sealed).split("|")


def merge(rows: Rows, sheet: Document, names: Sequence[str]) -> None:
    """Raise the numbers of a user's rows to those of a sheet."""
    for (peer, _, *numbers), name in zip(sheet["r"], names, strict=True):
        # The release after this one may write more numbers.
        row = Conversation(sheet["u"], peer, name, *numbers[:_NUMBERS])
        greatest = map(max, structs.astuple(row)[3:], structs.astuple(rows.get(peer, row))[3:])
        rows[peer] = Conversation(sheet["u"], peer, name, *greatest)


def _sealed(user: str, rows: Sequence[Conversation], key: DataKey) -> bytes:
    place = _place(row.peer for row in rows)
    return key.seal(COLLECTION, user, place, "|".join(row.peer_name for row in rows))


def _place(peers: Iterable[str]) -> str:
    """Return what binds names to rows: in front of those of others they must not open."""
    return ",".join(peers)
