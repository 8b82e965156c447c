"""What a bot remembers: a state for each peer, up to where its messages are done, and those it failed at.

One SQLite file. That a message is done and what the state is then are written in one transaction. What
becomes done at the same time is written as one, in a thread of its own.
"""

import asyncio
import json
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from roost.client import MessageReceived

T = TypeVar("T")

_Change = tuple[str, tuple[Any, ...]]
"""A statement, and its values."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS peers (
    peer TEXT PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS failed (
    id TEXT, peer TEXT, reason TEXT NOT NULL, event BLOB NOT NULL, PRIMARY KEY (peer, id)
);
"""
_DONE: Final = """
INSERT INTO peers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    id = iif(excluded.seq < seq, id, excluded.id), seq = max(seq, excluded.seq), state = excluded.state
"""
_FAILED: Final = "INSERT OR REPLACE INTO failed VALUES (?, ?, ?, ?)"

_decode = msgspec.msgpack.Decoder(MessageReceived).decode


class Peer(Struct, frozen=True):
    """What is known of one peer.

    Attributes:
        seq: Its messages up to this number are done.
        id: The last of them; a message that is sent again once the server's log is lost has another number.
        state: The bot's.
    """

    seq: int = 0
    id: str = ""
    state: dict[str, Any] = {}

    def has(self, event: MessageReceived) -> bool:
        """Return whether the message is done."""
        return event.seq <= self.seq or event.id == self.id


class Failure(Struct, frozen=True):
    """A message that its handler failed at for good, and why."""

    event: MessageReceived
    reason: str


class Memory:
    """The file.

    Args:
        path: Where; None: in memory, gone with the process.

    Raises:
        OSError: It cannot be opened, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._thread = ThreadPoolExecutor(1, "roost-bot")
        self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        try:
            self._file.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLES}")
        except sqlite3.Error as exc:
            self._file.close()
            raise OSError(f"{path}: {exc}") from exc
        self._waiting: deque[tuple[_Change, ...]] = deque()

    async def peer(self, name: str) -> Peer:
        """Return what is known of a peer."""
        query = "SELECT seq, id, state FROM peers WHERE peer = ?"
        found = await self._run(lambda: self._file.execute(query, (name,)).fetchone())
        return Peer() if found is None else Peer(found[0], found[1], json.loads(found[2]))

    async def peers(self) -> dict[str, dict[str, Any]]:
        """Return the state of each peer that has one."""
        query = "SELECT peer, state FROM peers WHERE state <> '{}'"
        found = await self._run(lambda: self._file.execute(query).fetchall())
        return {peer: json.loads(state) for peer, state in found}

    async def keep(self, peer: str, state: dict[str, Any]) -> None:
        """Keep the state of a peer."""
        await self._write((_DONE, (peer, 0, "", json.dumps(state))))

    async def done(self, event: MessageReceived, state: dict[str, Any], failure: str = "") -> None:
        """Keep that a message is done, its peer's state then and, if it failed for good, the message."""
        changes: list[_Change] = [(_DONE, (event.peer, event.seq, event.id, json.dumps(state)))]
        if failure:
            bare = msgspec.msgpack.encode(structs.replace(event, file=None))
            changes.append((_FAILED, (event.id, event.peer, failure, bare)))
        await self._write(*changes)

    async def failures(self) -> list[Failure]:
        """Return the messages that failed for good, in the order in which they came."""
        query = "SELECT event, reason FROM failed ORDER BY rowid"
        found = await self._run(lambda: self._file.execute(query).fetchall())
        return [Failure(_decode(event), reason) for event, reason in found]

    async def forget(self, event: MessageReceived, state: dict[str, Any]) -> None:
        """A message that had failed is done after all."""
        await self._write(
            ("DELETE FROM failed WHERE peer = ? AND id = ?", (event.peer, event.id)),
            (_DONE, (event.peer, 0, "", json.dumps(state))),
        )

    def close(self) -> None:
        """Finish what is being written, and close the file."""
        self._thread.shutdown(wait=True)
        self._file.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(self, *changes: _Change) -> None:
        """Write these, in one transaction with what others write meanwhile."""
        self._waiting.append(changes)
        await self._run(self._commit)  # which an earlier one may have seen to

    def _commit(self) -> None:
        taken: list[tuple[_Change, ...]] = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if not taken:
            return
        try:
            self._file.execute("BEGIN IMMEDIATE")
            for statement, values in (change for changes in taken for change in changes):
                self._file.execute(statement, values)
            self._file.execute("COMMIT")
        except sqlite3.Error as exc:
            if self._file.in_transaction:  # a full disk may have ended it already
                self._file.execute("ROLLBACK")
            self._waiting.extendleft(reversed(taken))  # those who wait for it get the error, too
            raise OSError(f"what the bot knows cannot be kept: {exc}") from exc
