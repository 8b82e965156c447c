"""What a bot remembers: a state for each peer, up to where its messages are done, and those it failed at.

One SQLite file. That a message is done and what the state is then are written in one transaction.
"""

import asyncio
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from roost.client import MessageReceived
from roost.client.store.database import Cursor, Database

T = TypeVar("T")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS peers (
    peer TEXT PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS failed (
    id TEXT, peer TEXT, reason TEXT NOT NULL, event BLOB NOT NULL, PRIMARY KEY (peer, id)
);
CREATE TABLE IF NOT EXISTS account (password TEXT NOT NULL);
"""
_DONE: Final = """
INSERT INTO peers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    id = iif(excluded.seq < seq, id, excluded.id), seq = max(seq, excluded.seq), state = excluded.state
"""

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
        OSError: It cannot be opened or written.
        ValueError: It is something else, or another process has it.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = Database(path, lambda connection: connection.executescript(_TABLES))

    async def peer(self, name: str) -> Peer:
        """Return what is known of a peer."""

        def work(cursor: Cursor) -> Peer:
            query = "SELECT seq, id, state FROM peers WHERE peer = ?"
            found = cursor.execute(query, (name,)).fetchone()
            return Peer() if found is None else Peer(found[0], found[1], json.loads(found[2]))

        return await self._run(work)

    async def peers(self) -> dict[str, dict[str, Any]]:
        """Return the state of each peer that has one."""
        query = "SELECT peer, state FROM peers WHERE state <> '{}'"
        return await self._run(
            lambda cursor: {peer: json.loads(state) for peer, state in cursor.execute(query)}
        )

    async def keep(self, peer: str, state: dict[str, Any]) -> None:
        """Keep the state of a peer."""
        text = json.dumps(state)
        await self._run(lambda cursor: cursor.execute(_DONE, (peer, 0, "", text)) and None)

    async def done(self, event: MessageReceived, state: dict[str, Any], failure: str = "") -> None:
        """Keep that a message is done, its peer's state then, and the message if it failed for good."""
        text = json.dumps(state)

        def work(cursor: Cursor) -> None:
            cursor.execute(_DONE, (event.peer, event.seq, event.id, text))
            cursor.execute("DELETE FROM failed WHERE peer = ? AND id = ?", (event.peer, event.id))
            if failure:
                bare = msgspec.msgpack.encode(structs.replace(event, file=None))
                cursor.execute(
                    "INSERT INTO failed VALUES (?, ?, ?, ?)", (event.id, event.peer, failure, bare)
                )

        await self._run(work)

    async def failures(self) -> list[Failure]:
        """Return the messages that failed for good, in the order in which they came."""
        query = "SELECT event, reason FROM failed ORDER BY rowid"
        return await self._run(
            lambda cursor: [Failure(_decode(each), why) for each, why in cursor.execute(query)]
        )

    async def password(self) -> str:
        """Return the password of an account that was given none: made by chance, once."""

        def work(cursor: Cursor) -> str:
            fresh = secrets.token_urlsafe(24)
            cursor.execute("INSERT INTO account SELECT ? WHERE NOT EXISTS (SELECT * FROM account)", (fresh,))
            return str(cursor.execute("SELECT password FROM account").fetchone()[0])

        return await self._run(work)

    def close(self) -> None:
        """Finish what is being written, and close the file."""
        self._database.close()

    async def _run(self, work: Callable[[Cursor], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._database.thread, self._database.run, work)
