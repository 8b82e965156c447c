"""The keystore in one file of SQLite."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from roost.client.keystore.claim import Claim
from roost.client.keystore.json_file import replace_json
from roost.client.keystore.port import KeystoreInUse
from roost.client.state import Profile
from roost.client.store.database import Cursor, Database, DatabaseLocked
from roost.client.store.history import History, Note
from roost.client.store.profile_rows import ProfileRows, Row, write


class FileKeystore:
    """Keeps the profile and the history in one file of mode 0600, and forces each change of it to disk.

    Private keys and messages stand in it unencrypted: it is as safe as the account that owns it. A file
    beside it, which stays, carries the lock. Where there is a JSON file of version 1, it takes its place.

    Args:
        path: The file; missing folders are made with mode 0700.
        formerly: Where the JSON file may be, if not at ``path``.
        history: Keep messages, not only what has yet to be sent.
    """

    def __init__(self, path: Path, *, formerly: Path | None = None, history: bool = True) -> None:
        self.path = path
        self._formerly = formerly
        self._keeps_history = history
        self._claim = Claim(path)
        self._rows = ProfileRows()
        self._whole = True
        self._database: Database | None = None
        self._history: History | None = None

    @property
    def history(self) -> History | None:
        """The messages; None before the file was opened, and if they are not wanted."""
        return self._history

    def lock(self) -> None:
        """Lock the file beside it; the kernel ends the lock with the process."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._claim.take():
            raise self._in_use()

    def unlock(self) -> None:
        """Close the file, after what is being written to it, and let another client have it."""
        database, self._database, self._history = self._database, None, None
        self._rows, self._whole = ProfileRows(), True
        try:
            if database is not None:
                database.close()
        finally:
            self._claim.give_up()

    def load(self) -> Profile | None:
        """Read the profile from the file."""
        if not any(path is not None and path.exists() for path in (self.path, self._formerly)):
            return None
        with self._claimed():
            profile = self._open().run(self._rows.read)
            self._whole = profile is None
            return profile

    def save(self, profile: Profile) -> None:
        """Write all of the profile, and wait for the disk."""
        with self._claimed():
            rows = self._rows.all(profile)
            self._whole = True
            database = self._open()
            # In its thread, where a turn may be on its way to the disk.
            database.submit(lambda: database.run(lambda cursor: write(cursor, rows, whole=True))).result()
            self._whole = False

    def keep(self, profile: Profile) -> "asyncio.Future[None] | None":
        """Write what has changed, in one transaction in the database's thread."""
        whole = self._whole
        rows = self._rows.all(profile) if whole else self._rows.changes(profile)
        notes = [] if self._history is None else self._history.noted()
        if not rows and not notes:
            return None
        self._whole = False
        kept = asyncio.wrap_future(self._open().submit(partial(self._write, rows, notes, whole=whole)))
        kept.add_done_callback(partial(self._ended, notes))
        return kept

    def _write(self, rows: list[Row], notes: list[Note], *, whole: bool) -> None:
        database, history = self._open(), self._history

        def work(cursor: Cursor) -> None:
            write(cursor, rows, whole=whole)
            if history is not None:
                history.write(cursor, notes)

        database.run(work)
        if history is not None:
            history.scrub()

    def _ended(self, notes: list[Note], kept: "asyncio.Future[None]") -> None:
        if kept.cancelled() or kept.exception() is None:
            return
        self._whole = True
        if self._history is not None:
            self._history.note_again(notes)

    def _open(self) -> Database:
        if self._database is None:
            try:
                replace_json(self.path, self._formerly)
                self._database = Database(self.path)
            except DatabaseLocked as exc:
                raise self._in_use() from exc
            if self._keeps_history:
                self._history = History(self._database)
        return self._database

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """Have the claim, for this once if no client has it."""
        if self._claim.held:
            yield
            return
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    def _in_use(self) -> KeystoreInUse:
        return KeystoreInUse(
            f"{self.path} is in use by another client: close that first, or sign in as another device with a "
            "keystore of its own"
        )
