"""The search in messages: by FTS5 where this SQLite has it, else by a look at each text.

The index is kept by triggers of the connection, which are not in the file: a Python without FTS5 can write
the file, too. It leaves the table ``words_stale`` in it, and the next one with FTS5 builds the index again.
"""

from typing import Final

from roost.client.store.database import Cursor

_INDEX: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5"
    "(text, content='events', content_rowid='place', tokenize='unicode61 remove_diacritics 2')"
)
_IN: Final = "INSERT INTO words (rowid, text) VALUES (new.place, new.text)"
_OUT: Final = "INSERT INTO words (words, rowid, text) VALUES ('delete', old.place, old.text)"
_TRIGGERS: Final = tuple(
    f"CREATE TEMP TRIGGER words_{number} AFTER {change} ON main.events WHEN {row}.text IS NOT NULL "
    f"BEGIN {act}; END"
    for number, (change, row, act) in enumerate(
        (
            ("INSERT", "new", _IN),
            ("DELETE", "old", _OUT),
            ("UPDATE OF text", "old", _OUT),
            ("UPDATE OF text", "new", _IN),
        )
    )
)


class Words:
    """The search of one connection.

    Args:
        cursor: Of the connection, in a transaction.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.indexed = _has_fts5(cursor)
        if not self.indexed:
            cursor.execute("CREATE TABLE IF NOT EXISTS words_stale (reason TEXT)")
            return
        tables = "SELECT count(*) FROM sqlite_master WHERE name = ?"
        is_new = not cursor.execute(tables, ("words",)).fetchone()[0]
        is_stale = cursor.execute(tables, ("words_stale",)).fetchone()[0]
        cursor.execute(_INDEX)
        if is_new or is_stale:
            cursor.execute("INSERT INTO words (words) VALUES ('rebuild')")
            cursor.execute("DROP TABLE IF EXISTS words_stale")
        for trigger in _TRIGGERS:
            cursor.execute(trigger)

    def find(self, cursor: Cursor, text: str, peer: str | None, limit: int) -> list[int]:
        """Return the places of the messages with all of these words, the newest first.

        With the index a word is found by its beginning, whatever its accents; without it anywhere in a text.
        """
        words = text.split()
        if not words:
            return []
        if self.indexed:
            # In quotation marks nothing in it is an operator.
            where = "place IN (SELECT rowid FROM words WHERE words MATCH ?)"
            terms = [" ".join('"{}"*'.format(word.replace('"', '""')) for word in words)]
        else:
            where = " AND ".join(["text LIKE ? ESCAPE '\\'"] * len(words))
            terms = [f"%{_escaped(word)}%" for word in words]
        query = (
            f"SELECT place FROM events WHERE {where} AND peer = coalesce(?, peer) ORDER BY place DESC LIMIT ?"  # noqa: S608 -- no value is in it
        )
        return [place for (place,) in cursor.execute(query, (*terms, peer, limit))]

    def forget_removed(self, cursor: Cursor) -> None:
        """Take out of the index what stays of texts that were removed, until its parts are merged."""
        if self.indexed:
            cursor.execute("INSERT INTO words (words) VALUES ('optimize')")


def _has_fts5(cursor: Cursor) -> bool:
    return bool(cursor.execute("SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'").fetchone()[0])


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
