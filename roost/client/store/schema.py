"""The tables of a keystore's file.

profile         The profile: a row for each of its fields, and for each key of those that are dicts.
events          What was said, in the order in which it came to be known here (``place``). Rows with a
                ``target`` are about another message; ``kind`` is one of content, ``undecryptable``, or
                ``past`` for what no longer counts and has lost its content. ``text`` is what a search looks
                in.
conversations   Of each peer: up to which number its messages have been read here or on another own device,
                and the time after which messages disappear.
receipts        Of each peer and tick (``delivered``, ``read``): the ranges that its watermarks have covered.
words           The full-text index of ``events.text``, where this SQLite has FTS5 (see ``words``).
"""

import sqlite3
from typing import Final

_APPLICATION: Final = 0x726F6F73
"""``roos``: marks the file as a keystore of Roost."""

_VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE profile (
    field TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (field, key)
) WITHOUT ROWID;

CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    peer TEXT NOT NULL,
    id TEXT NOT NULL,
    author TEXT NOT NULL,
    device TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT,
    content BLOB NOT NULL,
    text TEXT,
    reason TEXT NOT NULL DEFAULT '',
    seq INTEGER,
    at_ms INTEGER NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    delivered INTEGER NOT NULL DEFAULT 0,
    failed TEXT NOT NULL DEFAULT '',
    expired INTEGER NOT NULL DEFAULT 0,
    UNIQUE (id, author, device)
);
CREATE INDEX shown ON events (peer, place) WHERE target IS NULL;
CREATE INDEX received ON events (peer, seq) WHERE target IS NULL AND author = peer;
CREATE INDEX about ON events (target) WHERE target IS NOT NULL;
CREATE INDEX ending ON events (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE conversations (
    peer TEXT PRIMARY KEY, read_seq INTEGER NOT NULL DEFAULT 0, timer_s INTEGER
) WITHOUT ROWID;

CREATE TABLE receipts (
    peer TEXT NOT NULL, tick TEXT NOT NULL, above INTEGER NOT NULL, upto INTEGER NOT NULL,
    PRIMARY KEY (peer, tick, above)
) WITHOUT ROWID;
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file.

    Raises:
        ValueError: It is a database of something else, or of a later version.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) == (_APPLICATION, _VERSION):
        return
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        if application == _APPLICATION:
            raise ValueError(f"it is of a later version of Roost (its format is {version})")
        raise ValueError("it is a database of another program")
    connection.executescript(
        f"BEGIN IMMEDIATE; {_TABLES} "
        f"PRAGMA application_id={_APPLICATION}; PRAGMA user_version={_VERSION}; COMMIT;"
    )
