"""The ledger: an append-only store of what every virtual user saw, in the order it saw it.

One SQLite file per worker process, so that no process waits for another; all of them carry times of the one
monotonic clock of the machine. Here lives how events are written and read; what they mean together is
`sim.checker`'s.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import IntEnum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Self

BATCH_EVENTS = 1_000
"""Events kept in memory before they are written: about 1.5 ms of work each time."""


class Kind(IntEnum):
    """What can happen to a message, a device or the system."""

    INTENT = 1
    """The sender handed a message to the SDK: peer (recipient), id, digest.

    Note: seconds after which it disappears, if it does.
    """
    ACCEPTED = 2
    """The sender was told its number in the recipient's mailbox: peer, id, seq."""
    FAILED = 3
    """The sender gave up for good: peer, id, note (code word)."""
    ARRIVED = 4
    """An entry came over the wire, before the SDK removes repeats: peer (sender), id, seq."""
    RECEIVED = 5
    """The receiving app was told: peer (sender), id, seq, digest."""
    TAKEN = 6
    """The receiving app has everything up to seq, and the SDK acknowledges it: seq."""
    READ = 7
    """The receiver marked the peer's messages as read up to seq: peer (sender), seq."""
    DELIVERED_TOLD = 8
    """The sender was told that the peer has everything up to seq: peer (recipient), seq."""
    READ_TOLD = 9
    """The sender was told that the peer has read everything up to seq: peer (recipient), seq."""
    UNDECRYPTABLE = 10
    """The receiver could not open an entry: peer (sender), id, seq, note (reason)."""
    MISSED = 11
    """The receiver was told that entries up to seq are gone: seq.

    Note ``cursor``: since the server does not know how far it was.
    """
    CRASHED = 12
    """The device's app was killed: what it had received and not taken may come again."""
    STORED = 13
    """Audit after the run: the server's store holds this for the device: peer (sender), id, seq."""
    DEVICE = 14
    """A device of the user exists from now on; before it, messages need not reach it.

    Note ``copies``: what the user's other devices send is to reach it, too.
    """
    PUSHED = 15
    """A wake-up came for the device."""
    CUT = 16
    """The run ended for the device: note is ``settled``, ``open`` or ``audited``."""
    FAULT = 17
    """Something was broken or mended: note is ``<name>: begins`` or ``<name>: ends``."""
    COPIED = 18
    """The app was told what another device of its user sent: peer (recipient), id, seq, digest.

    Note: why it could not be opened.
    """
    COPY_STORED = 19
    """Audit after the run: the server's store holds a copy for the device: peer (recipient), id, seq.

    Note ``passed``: the device has acknowledged what comes behind it.
    """
    USED = 20
    """The device's session was renewed, which shows the server that it is in use; at the server's time."""
    REFUSED = 21
    """The sender was told that the recipient's mailbox is full: peer (recipient), id.

    Seq: how often it was sent without an answer before.
    """
    EXPORTED = 22
    """The user's export has the message: peer (sender), id, seq; note: when it was asked for, in µs."""
    ERASED = 23
    """The user asked for the erasure of the account, and was told that it is done: note is the user id."""
    LEFT = 24
    """After the erasure the scan of the stores finds what should not be there: note is a sentence."""


SENDERS = (
    *(Kind.INTENT, Kind.ACCEPTED, Kind.FAILED, Kind.DELIVERED_TOLD, Kind.READ_TOLD),
    *(Kind.COPIED, Kind.COPY_STORED, Kind.REFUSED),
)
"""Kinds that the sender's devices record about the peer's mailbox; all others are about the user's own."""


class Event(NamedTuple):
    """One line of the ledger.

    Args:
        at_us: Microseconds of CLOCK_MONOTONIC.
        kind: A `Kind`.
        user: Who recorded it; empty for `Kind.FAULT`.
        device: Device id of the recorder; empty if none.
        peer: The other user; empty if none.
        id: Id of the message; empty if none.
        seq: Number in the mailbox; 0 if none.
        digest: `digest_of` the plaintext; 0 if none.
        note: Code word, reason or name.
    """

    at_us: int
    kind: int
    user: str
    device: str = ""
    peer: str = ""
    id: str = ""
    seq: int = 0
    digest: int = 0
    note: str = ""


SCHEMA = """
CREATE TABLE IF NOT EXISTS names (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS events (
    at_us INTEGER NOT NULL, kind INTEGER NOT NULL, user INTEGER NOT NULL, device INTEGER NOT NULL,
    peer INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, digest INTEGER NOT NULL,
    note INTEGER NOT NULL
);
"""

BY_OWNER = f"""
SELECT owners.place, at_us, kind, user, device, peer, id, seq, digest, note
FROM events JOIN owners ON owners.n = iif(kind IN {tuple(map(int, SENDERS))}, peer, user)
ORDER BY owners.place, at_us, events.rowid
"""  # noqa: S608 - made of numbers


def now_us() -> int:
    """Return microseconds of the monotonic clock, the same for all processes of the machine."""
    return time.monotonic_ns() // 1_000


def digest_of(content: bytes) -> int:
    """Return a signed 64-bit digest of a plaintext."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)


class Ledger:
    """The events of one process, written in batches.

    A process that is killed loses at most the batch in memory. Not for several threads.

    Args:
        path: The file; it is created if missing and appended to if not.
    """

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path)
        # The machine going down ends the run as well: only the process's own end must be survived.
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(SCHEMA)
        self._names: dict[str, int] = {name: n for n, name in self._db.execute("SELECT n, name FROM names")}
        self._fresh: list[tuple[int, str]] = []
        self._rows: list[tuple[int, int, int, int, int, str, int, int, int]] = []

    def record(  # noqa: PLR0913 - the columns of an event; building a struct for each would cost more
        self,
        kind: int,
        *,
        at_us: int,
        user: str,
        device: str = "",
        peer: str = "",
        id: str = "",  # noqa: A002 - the event's own word
        seq: int = 0,
        digest: int = 0,
        note: str = "",
    ) -> None:
        """Append an event; see `Event` for the arguments."""
        rows, names = self._rows, self._names
        try:
            row = (at_us, kind, names[user], names[device], names[peer], id, seq, digest, names[note])
        except KeyError:
            for name in (user, device, peer, note):
                self._name(name)
            row = (at_us, kind, names[user], names[device], names[peer], id, seq, digest, names[note])
        rows.append(row)
        if len(rows) >= BATCH_EVENTS:
            self.flush()

    def _name(self, name: str) -> None:
        if name not in self._names:
            self._names[name] = len(self._names) + 1
            self._fresh.append((self._names[name], name))

    def flush(self) -> None:
        """Write what is in memory; other processes can read it from then on."""
        if not self._rows:
            return
        with self._db:
            self._db.executemany("INSERT INTO names VALUES (?, ?)", self._fresh)
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._fresh.clear()
        self._rows.clear()

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Ledgers:
    """Several files read as one ledger, never more than one mailbox of it in memory.

    Args:
        paths: The files; their writers need not have closed them, but what they did not flush is not seen.
    """

    def __init__(self, paths: Sequence[Path | str]) -> None:
        self.paths = tuple(Path(path) for path in paths)

    def events(self) -> Iterator[Event]:
        """Yield all events, file by file, each in the order of writing."""
        for path in self.paths:
            yield from self._read(path, "")

    def of_kind(self, *kinds: Kind) -> list[Event]:
        """Return the events of some kinds in the order of time."""
        where = f"WHERE kind IN ({', '.join(str(int(kind)) for kind in kinds)})"
        return sorted((event for path in self.paths for event in self._read(path, where)), key=AT)

    def mailboxes(self) -> Iterator[tuple[str, list[Event]]]:
        """Yield each user that has a mailbox with all events about it, in the order of time.

        About a mailbox are what its owner's devices saw, and what senders sent to it and were told of it.
        Events of the same microsecond keep the order of their files and of writing.
        """
        order = {name: n for n, name in enumerate(self._owners())}
        sources = [groupby(self._by_owner(path, order), key=itemgetter(0)) for path in self.paths]
        heads = [next(source, None) for source in sources]
        for owner, n in order.items():
            found: list[Event] = []
            for place, head in enumerate(heads):
                if head is not None and head[0] == n:
                    found.extend(row[1] for row in head[1])
                    heads[place] = next(sources[place], None)
            if found:
                found.sort(key=AT)
                yield owner, found

    def _owners(self) -> list[str]:
        """Return all names of all files, in one order; devices and notes among them own nothing."""
        names: set[str] = set()
        for path in self.paths:
            with closing(_reader(path)) as db:
                names.update(name for (name,) in db.execute("SELECT name FROM names WHERE name != ''"))
        return sorted(names)

    @staticmethod
    def _by_owner(path: Path, order: dict[str, int]) -> Iterator[tuple[int, Event]]:
        with closing(_reader(path)) as db:
            names = dict(db.execute("SELECT n, name FROM names"))
            db.execute("CREATE TEMP TABLE owners (n INTEGER PRIMARY KEY, place INTEGER NOT NULL)")
            places = ((n, order[name]) for n, name in names.items() if name)
            db.executemany("INSERT INTO owners VALUES (?, ?)", places)
            rows = db.execute(BY_OWNER)
            for place, at_us, kind, user, device, peer, id_, seq, digest, note in rows:
                yield (
                    place,
                    Event(
                        at_us, kind, names[user], names[device], names[peer], id_, seq, digest, names[note]
                    ),
                )

    @staticmethod
    def _read(path: Path, where: str) -> Iterator[Event]:
        with closing(_reader(path)) as db:
            names = dict(db.execute("SELECT n, name FROM names"))
            for at_us, kind, user, device, peer, id_, seq, digest, note in db.execute(
                f"SELECT * FROM events {where} ORDER BY rowid"  # noqa: S608 - made of numbers above
            ):
                yield Event(
                    at_us, kind, names[user], names[device], names[peer], id_, seq, digest, names[note]
                )


AT = itemgetter(0)


def _reader(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise FileNotFoundError(f"There is no ledger at {path}.")
    db = sqlite3.connect(path, isolation_level=None)
    # Sorting millions of events needs room: on disk, beside the ledger's own pages.
    db.execute("PRAGMA temp_store = FILE")
    db.execute("PRAGMA cache_size = -65536")
    # One snapshot for names and events: a writer may be at work.
    db.execute("BEGIN")
    return db
