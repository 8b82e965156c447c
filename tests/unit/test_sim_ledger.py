"""The event store: what was recorded is read again, from several files, a mailbox at a time."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sim.ledger import BATCH_EVENTS, Event, Kind, Ledger, Ledgers, digest_of, now_us

MESSAGE = Event(5, Kind.INTENT, "ann", "A1", "bob", "m1", 0, -7, "")


def written(path: Path, *events: Event) -> Path:
    with Ledger(path) as ledger:
        for event in events:
            values = event._asdict()
            ledger.record(values.pop("kind"), **values)
    return path


def test_every_column_comes_back(tmp_path: Path) -> None:
    events = [
        MESSAGE,
        Event(6, Kind.ACCEPTED, "ann", "A1", "bob", "m1", 2**53, 0, ""),
        Event(7, Kind.FAILED, "ann", "A1", "bob", "m2", 0, 0, "blocked"),
        Event(8, Kind.FAULT, "", note="host: begins"),
        Event(9, Kind.RECEIVED, "bob", "B1", "ann", "m1", 4, 2**63 - 1, ""),
    ]
    assert list(Ledgers([written(tmp_path / "a", *events)]).events()) == events


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    written(tmp_path / "a", MESSAGE)
    written(tmp_path / "a", MESSAGE._replace(at_us=6, peer="cid"))
    assert [event.peer for event in Ledgers([tmp_path / "a"]).events()] == ["bob", "cid"]


def test_a_batch_is_written_when_it_is_full(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a")
    for number in range(BATCH_EVENTS + 1):
        ledger.record(Kind.TAKEN, at_us=number, user="ann", device="A1", seq=number)
    reader = Ledgers([tmp_path / "a"])
    assert len(list(reader.events())) == BATCH_EVENTS
    ledger.flush()
    assert len(list(reader.events())) == BATCH_EVENTS + 1
    ledger.close()


def test_flushed_events_survive_the_death_of_their_process(tmp_path: Path) -> None:
    program = (
        "import sys; from sim.ledger import Ledger, Kind; ledger = Ledger(sys.argv[1])\n"
        "ledger.record(Kind.TAKEN, at_us=1, user='ann', seq=1); ledger.flush()\n"
        "ledger.record(Kind.TAKEN, at_us=2, user='ann', seq=2); print(flush=True); sys.stdin.read()"
    )
    path = tmp_path / "a"
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert [event.seq for event in Ledgers([path]).events()] == [1]


def test_failed_writes_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a")
    ledger.record(Kind.TAKEN, at_us=1, user="ann", seq=1)
    with sqlite3.connect(tmp_path / "a", isolation_level=None) as other:
        ledger._db.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            ledger.flush()
        other.execute("ROLLBACK")
    other.close()
    ledger.close()
    assert [event.user for event in Ledgers([tmp_path / "a"]).events()] == ["ann"]


def test_mailboxes_bring_both_sides_of_all_files_together_in_time(tmp_path: Path) -> None:
    told = Event(40, Kind.DELIVERED_TOLD, "ann", "A1", "bob", seq=1)
    received = Event(20, Kind.RECEIVED, "bob", "B1", "ann", "m1", 1, -7)
    answer = Event(30, Kind.INTENT, "bob", "B1", "ann", "m2", digest=3)
    first = written(tmp_path / "a", MESSAGE, told)
    # The second file meets the names in another order.
    second = written(tmp_path / "b", answer, received, Event(1, Kind.FAULT, "", note="x: begins"))
    assert dict(Ledgers([first, second]).mailboxes()) == {
        "ann": [answer],
        "bob": [MESSAGE, received, told],
    }


def test_events_of_one_microsecond_keep_their_order(tmp_path: Path) -> None:
    events = [Event(1, Kind.RECEIVED, "bob", "B1", "ann", f"m{9 - n}", n) for n in range(9)]
    assert dict(Ledgers([written(tmp_path / "a", *events)]).mailboxes()) == {"bob": events}


def test_kinds_are_picked_in_time_order(tmp_path: Path) -> None:
    late = Event(9, Kind.FAULT, "", note="host: ends")
    early = Event(3, Kind.FAULT, "", note="host: begins")
    ledgers = Ledgers([written(tmp_path / "a", late), written(tmp_path / "b", MESSAGE, early)])
    assert ledgers.of_kind(Kind.FAULT) == [early, late]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no ledger at"):
        list(Ledgers([tmp_path / "none"]).events())


def test_digests_are_signed_and_differ_for_each_byte() -> None:
    digests = {digest_of(bytes([value])) for value in range(64)}
    assert len(digests) == 64
    assert min(digests) < 0 < max(digests)
    assert all(-(2**63) <= digest < 2**63 for digest in digests)
    assert digest_of(b"x") == digest_of(b"x")


def test_the_clock_does_not_go_back() -> None:
    times = [now_us() for _ in range(1_000)]
    assert times == sorted(times)
