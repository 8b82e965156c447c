"""One SQLite file, or one in memory, and the thread in which it is used."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from roost.client.store import schema

Cursor = sqlite3.Cursor
T = TypeVar("T")

_BEGINNING: Final = b"SQLite format 3\x00"

_BEHAVIOUR: Final = (
    # This connection alone has the file, and the index of the write-ahead log in memory: a second wall behind
    # the keystore's own lock, and no memory that is shared through a file, which a network folder lacks.
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
)


class DatabaseLocked(ValueError):  # noqa: N818 - a state of the file
    """Another connection has the file."""


def is_database(path: Path) -> bool:
    """Return whether a file is one of SQLite, or still empty."""
    with path.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    return beginning in (b"", _BEGINNING)


class Database:
    """A connection that is open from its making until ``close``; its tables are there.

    Args:
        path: The file, made with mode 0600 if it is not there; None: in memory.
        prepare: Makes its tables, if they are not there.

    Attributes:
        thread: Where it is used.

    Raises:
        DatabaseLocked: Another connection has the file.
        ValueError: It is not a database, or one of a later version.
        OSError: It cannot be opened or written.
    """

    def __init__(
        self, path: Path | None, prepare: Callable[[sqlite3.Connection], object] = schema.prepare
    ) -> None:
        if path is not None and not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.thread = ThreadPoolExecutor(1, "roost-keystore")
        with _translated(path):
            name = ":memory:" if path is None else str(path)
            self._connection = sqlite3.connect(name, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                for line in _BEHAVIOUR:
                    self._connection.execute(line)
                prepare(self._connection)
            except BaseException:
                self._connection.close()
                raise
        self._path = path

    def run(self, work: Callable[[Cursor], T]) -> T:
        """Do work in one transaction, in this thread; nothing of it is kept if it raises.

        Raises:
            OSError: It cannot be kept.
            ValueError: The file is damaged.
        """
        with _translated(self._path):
            cursor = self._connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
                result = work(cursor)
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()  # or a traceback that someone keeps would keep the file open
            return result

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Do work in the database's thread, after what was submitted before."""
        return self.thread.submit(work)

    def scrub(self) -> None:
        """Empty the write-ahead log: what was removed stands in it until then."""
        with _translated(self._path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Finish what was submitted, and close the file."""
        self.thread.shutdown(wait=True)
        with _translated(self._path):
            self._connection.close()


@contextmanager
def _translated(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise DatabaseLocked(f"{path} is in use") from exc
        raise OSError(f"{path}: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        raise ValueError(f"{path}: {exc}") from exc
