"""``roost keys`` on a real store."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cluster import key_ring
from cluster.cli import reencryption
from cluster.settings import Settings
from roost.cli.command_line import main
from storage.account_rows import Device
from storage.mongo import MongoStore
from storage.mongo import reencryption as walk


@pytest.fixture
def settings(tmp_path: Path, mongo_url: str, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATA": tmp_path / "data",
        "MONGO__URL": mongo_url,
        "MONGO__DATABASE": database,
    }.items():
        monkeypatch.setenv(f"ROOST_{name}", str(value))
    settings = Settings.load()
    key_ring.make(settings)
    return settings


@pytest.fixture
async def filled(settings: Settings) -> AsyncIterator[int]:
    """A store with devices of so many users."""
    users = 12
    mongo = settings.mongo
    store = MongoStore(mongo.url or "", mongo.database, "motor", key_ring.load(settings))
    for number in range(users):
        await store.accounts.add_device(Device(f"u-{number}", "DEVICE", "a phone", 1))
    yield users
    await store.close()


async def keys(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    code = await asyncio.to_thread(main, ["keys", *words, "--json"])
    out, told = capsys.readouterr()
    return code, json.loads(out) if out else None, told


async def test_rotation_from_its_beginning_to_its_end(
    settings: Settings, filled: int, capsys: pytest.CaptureFixture[str]
) -> None:
    old = key_ring.load(settings).sealing_key
    _, ring, _ = await keys(capsys, "rotate", "storage", "--in", "0")
    code, _, told = await keys(capsys, "retire", old)
    assert (code, told) == (1, f"{filled} values are still sealed with {old}; first: roost keys reencrypt\n")
    code, done, _ = await keys(capsys, "reencrypt")
    assert (code, done) == (0, {"changed": filled, "broken": [], "left": {}, "can_retire": [old]})
    code, ring, _ = await keys(capsys, "retire", old)
    assert (code, ring["keys"][0]["state"]) == (0, "retired")
    assert (await keys(capsys, "reencrypt"))[1]["changed"] == 0


async def test_reencrypt_waits_for_a_new_key_or_says_when(
    filled: int, capsys: pytest.CaptureFixture[str]
) -> None:
    await keys(capsys, "rotate", "storage", "--in", "0.5")
    code, done, told = await keys(capsys, "reencrypt")
    assert (code, done["changed"], "waiting" in told) == (0, filled, True)
    await keys(capsys, "rotate", "index", "--in", "1000")
    code, _, told = await keys(capsys, "reencrypt")
    assert (code, "run this then" in told) == (1, True)


async def test_who_replaced_which_key_is_in_the_audit_log(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    old = key_ring.load(settings).vapid_key().id
    _, _, told = await keys(capsys, "rotate", "vapid", "link", "--in", "0")
    assert told.startswith("audit log: 1:")
    await keys(capsys, "retire", old)
    await asyncio.to_thread(main, ["admin", "audit", "--json"])
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [(each["act"], each["target"], each["outcome"]) for each in entries] == [
        ("keys.rotate", "vapid link", "done"),
        ("keys.retire", old, "done"),
    ]
    assert all(each["actor"].startswith("operator:") for each in entries)


@pytest.mark.usefixtures("filled")
async def test_unsealed_values_are_no_longer_read_once_all_are_sealed(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    file = key_ring.file_of(settings)
    file.change(lambda ring: structs.replace(ring, lenient=True))
    assert (await keys(capsys, "reencrypt"))[0] == 0
    assert not file.read().lenient


async def test_stopped_command_says_where_it_is_and_goes_on(
    settings: Settings, filled: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_CHUNK", 2)
    seen = asyncio.Event()
    monkeypatch.setattr(reencryption.Shown, "at", lambda *_: seen.set())
    await keys(capsys, "rotate", "storage", "--in", "0")
    command = asyncio.create_task(reencryption.reencrypt(settings, None, as_json=True))
    await seen.wait()
    command.cancel()
    assert await command == 1
    _, told = capsys.readouterr()
    assert "Stopped after 2 documents, in data_keys; nothing is half done." in told
    monkeypatch.setattr(walk, "_CHUNK", 200)
    code, done, told = await keys(capsys, "reencrypt")
    assert (code, done["changed"]) == (0, filled - 2)
    assert "Going on where it was stopped: in data_keys." in told
