"""The keystore in SQLite: what is kept is what there is, once it is kept, and the JSON file before it."""

import asyncio
import copy
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client import FileKeystore, KeystoreInUse
from roost.client.keystore import json_file
from roost.client.keystore.claim import Claim
from roost.client.state import OutboxItem, Pin, Profile, State
from roost.client.store.database import Database
from roost.client.store.noted import Noted
from roost.client.store.profile_rows import ProfileRows, write
from tests.vectors import core


def profile() -> Profile:
    made = Profile("http://h", "s", "alice", "uid", "DEVICE", bytes(32), b"\x01" * 32, b"\x02" * 32)
    made.peers = {"alice": {"DEVICE": Pin(bytes(32), bytes(32))}}
    made.state = State(cursor=7, seen={"bob/D/1": 1, "bob/D/2": 2})
    return made


def item(number: int) -> OutboxItem:
    return OutboxItem(number, f"id-{number}", "bob", number, b"\xff\x00 content", payloads={"D": b"\x01"})


def changed(random: Random, now: Profile) -> None:  # noqa: C901, PLR0912 - a line a change
    """Change something, as the core does: in place, or by another object."""
    state, number = now.state, random.randrange(20)
    match random.randrange(12):
        case 0:
            state.outbox[f"id-{number}"] = item(number)
        case 1 if state.outbox:
            state.outbox[random.choice(list(state.outbox))].seq = number
        case 2 if state.outbox:
            state.outbox[random.choice(list(state.outbox))].payloads = {"D": bytes([number])}
        case 3 if state.outbox:
            del state.outbox[random.choice(list(state.outbox))]
        case 4:
            state.seen[f"bob/D/{number}"] = number
        case 5 if state.seen:
            del state.seen[random.choice(list(state.seen))]
        case 6:
            state.read.update({"bob": number}, carol=number)
            state.read.setdefault("dora", number)
        case 7:
            state.reads.pop("bob", None)
            state.reads["bob"] = number
        case 8:
            pins = now.peers.get("bob", {})
            pins[f"D{number}"] = Pin(bytes([number]) * 32, bytes(32))
            now.peers["bob"] = pins
        case 9 if "bob" in now.peers:
            pins = now.peers["bob"]
            for pin in pins.values():
                pin.offered, pin.current = (bytes(32), bytes([number]) * 32), bool(number % 2)
            now.peers["bob"] = pins
        case 10:
            state.cursor = now.tokens.expires_at_ms = number
        case 11:
            state.delivered = {"eve": number}
            state.seen.clear()


@given(st.integers(1, 2**32))
def test_the_rows_are_the_profile_after_any_changes(seed: int) -> None:
    random, now, rows = Random(seed), profile(), ProfileRows()
    database = Database(None)
    database.run(lambda cursor: write(cursor, rows.all(now), whole=True))
    for _ in range(random.randrange(1, 8)):
        for _ in range(random.randrange(6)):
            changed(random, now)
        database.run(lambda cursor: write(cursor, rows.changes(now)))
        assert database.run(ProfileRows().read) == now
        assert rows.changes(now) == []
    database.close()


@pytest.mark.parametrize("seed", range(20))
def test_whoever_changes_what_is_known_of_people_says_so(seed: int) -> None:
    """What is not noted as changed is not written, and a key that was accepted would be forgotten."""
    history = core.History(seed)
    pins, known = Noted[Any]({}), Noted[Any]({})
    history._pins, history._known = pins, known
    history._restart()
    for _ in range(60):
        before = [copy.deepcopy(dict(each)) for each in (pins, known)]
        history._step(history._choose())
        for noted, earlier in zip((pins, known), before, strict=True):
            changed = {name for name in noted if noted[name] != earlier.get(name)}
            assert changed <= noted.touched
            noted.touched.clear()


def test_a_turn_with_many_known_people_looks_at_none_of_them() -> None:
    now, rows = profile(), ProfileRows()
    now.peers = {f"user{number}": {"D": Pin(bytes(32), bytes(32))} for number in range(2000)}
    rows.all(now)
    now.peers["user7"] = {"D": Pin(bytes(32), bytes(32), current=False)}
    with patch.object(Pin, "__eq__", side_effect=AssertionError("compared")):
        assert [(row.field, row.key) for row in rows.changes(now)] == [("peers", "user7")]


def test_only_what_changed_is_written() -> None:
    now, rows = profile(), ProfileRows()
    now.state.outbox = {f"id-{number}": item(number) for number in range(50)}
    assert len(rows.all(now)) > 50
    now.state.outbox["id-7"].seq = 9
    now.state.seen["bob/D/3"] = 3
    del now.state.outbox["id-8"]
    found = [(row.field, row.key, row.value is None) for row in rows.changes(now)]
    assert sorted(found) == [
        ("state.outbox", "id-7", False),
        ("state.outbox", "id-8", True),
        ("state.seen", "bob/D/3", False),
    ]


async def test_what_could_not_be_kept_is_kept_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore, now = FileKeystore(tmp_path / "k.db"), profile()
    keystore.lock()
    keystore.save(now)
    now.state.outbox["id-1"] = item(1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "run", full)
        kept = keystore.keep(now)
        assert kept is not None
        with pytest.raises(OSError, match="space"):
            await kept
    now.state.cursor = 8
    kept = keystore.keep(now)
    assert kept is not None
    await kept
    assert keystore.keep(now) is None
    keystore.unlock()
    assert FileKeystore(keystore.path).load() == now


async def test_a_full_disk_is_an_error_of_the_system_and_leaves_what_was_there(tmp_path: Path) -> None:
    keystore, now = FileKeystore(tmp_path / "k.db", history=False), profile()
    keystore.lock()
    keystore.save(now)
    database = keystore._open()
    database._connection.execute("PRAGMA max_page_count = 12")
    now.state.outbox = {f"id-{number}": item(number) for number in range(3000)}
    kept = keystore.keep(now)
    assert kept is not None
    with pytest.raises(OSError, match="full"):
        await kept
    keystore.unlock()
    assert FileKeystore(keystore.path).load() == profile()


@pytest.fixture(params=["in its place", "beside it"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Where a JSON file is, and where its keystore is to be."""
    old = tmp_path / "alice.json"
    return (old, old) if request.param == "in its place" else (old, tmp_path / "alice.db")


def test_a_json_file_becomes_a_database(places: tuple[Path, Path]) -> None:
    old, path = places
    old.write_bytes(msgspec.json.encode(profile()))
    (old.parent / (path.name + ".new")).write_text("left by a crash")
    for _ in range(2):
        assert FileKeystore(path, formerly=old).load() == profile()
    assert path.read_bytes().startswith(b"SQLite")
    assert {each.name for each in path.parent.iterdir()} == {path.name, path.name + ".lock"}


@pytest.mark.parametrize("at", ["scrub", "replace", "fsync", "rename"])
def test_a_crash_on_the_way_leaves_one_of_both(
    places: tuple[Path, Path], at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, path = places
    old.write_bytes(msgspec.json.encode(profile()))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    owner = {"scrub": Database, "fsync": json_file.os}.get(at, Path)
    with monkeypatch.context() as patched:
        patched.setattr(owner, at, crash)
        if at != "rename" or old != path:
            with pytest.raises(KeyboardInterrupt):
                FileKeystore(path, formerly=old).load()
    assert FileKeystore(path, formerly=old).load() == profile()
    assert old == path or not old.exists()


def test_a_json_file_that_came_later_is_left_alone(tmp_path: Path) -> None:
    """Somebody went back to the version before and signed in again: those are the keys of another device."""
    old, path = tmp_path / "alice.json", tmp_path / "alice.db"
    FileKeystore(path).save(profile())
    old.write_text("{}")
    assert FileKeystore(path, formerly=old).load() == profile()
    assert old.read_text() == "{}"


def test_a_json_file_in_use_is_left_alone(tmp_path: Path) -> None:
    old, path = tmp_path / "alice.json", tmp_path / "alice.db"
    old.write_bytes(msgspec.json.encode(profile()))
    running = Claim(old)
    assert running.take()
    with pytest.raises(KeystoreInUse, match=r"alice\.db is in use by another client"):
        FileKeystore(path, formerly=old).load()
    running.give_up()
    assert FileKeystore(path, formerly=old).load() == profile()


@pytest.mark.parametrize("content", [b'{"server": 1}', b"[", b"SQLite format 3\x00" + bytes(100)])
def test_what_is_no_keystore_is_said_and_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alice.db"
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is SQLite's or the decoder's
        FileKeystore(path).load()
    assert path.read_bytes() == content


def test_a_file_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    assert FileKeystore(tmp_path / "none" / "k.db").load() is None
    assert list(tmp_path.iterdir()) == []


def test_another_name_of_the_file_is_refused_by_sqlite(tmp_path: Path) -> None:
    """A hard link has a lock file of its own: the second wall is the database's lock."""
    first = FileKeystore(tmp_path / "k.db")
    first.lock()
    first.save(profile())
    os.link(first.path, tmp_path / "same.db")
    with pytest.raises(KeystoreInUse, match=r"same\.db is in use"):
        FileKeystore(tmp_path / "same.db").load()
    first.unlock()
    assert FileKeystore(tmp_path / "same.db").load() == profile()


def test_a_killed_program_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    FileKeystore(path).save(profile())
    program = (
        "import sys\nfrom pathlib import Path\nfrom roost.client import FileKeystore\n"
        f"keystore = FileKeystore(Path({str(path)!r}))\nkeystore.lock()\nkeystore.load()\n"
        "print('locked', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(KeystoreInUse):
            FileKeystore(path).load()
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert FileKeystore(path).load() == profile()


async def test_the_event_loop_goes_on_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore, now = FileKeystore(tmp_path / "k.db"), profile()
    keystore.lock()
    keystore.save(now)
    began, go_on = asyncio.Event(), asyncio.Event()
    loop, run = asyncio.get_running_loop(), Database.run

    def slow(database: Database, work: Callable[..., object]) -> object:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)
        return run(database, work)

    monkeypatch.setattr(Database, "run", slow)
    now.state.cursor = 9
    kept = keystore.keep(now)
    assert kept is not None
    async with asyncio.timeout(5):
        await began.wait()
    assert not kept.done()
    go_on.set()
    async with asyncio.timeout(5):
        await kept
    keystore.unlock()
