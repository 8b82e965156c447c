"""``roost keys`` on a key ring's file, and the processes that read it again."""

import asyncio
import base64
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from cluster import key_ring
from cluster.control.token_rotation import TokenRotation
from cluster.role_shell.ring_watch import RingWatch
from cluster.settings import Settings, SettingsInvalid
from roost.cli.command_line import main
from roost.clock import now_ms
from roost.errors import Unavailable
from storage.audit_chain import Act
from storage.keyring import PURPOSES, KeyRing, KeyRingError, RingFile

MASTER = base64.b64encode(b"m" * 32).decode()

Run = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings.load({"data": str(tmp_path / "data")})


@pytest.fixture
def run(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the verb on a ring; returns the exit code, and what it printed as JSON or its complaint."""
    key_ring.make(settings)

    def run(*words: str) -> tuple[int, Any]:
        code = main(["keys", *words, "--data", str(settings.data), "--json"])
        out, complaint = capsys.readouterr()
        return code, json.loads(out) if out else complaint

    return run


def states(printed: dict[str, Any], purpose: str) -> list[str]:
    return [key["state"] for key in printed["keys"] if key["purpose"] == purpose]


def test_list_shows_no_secret(run: Run, settings: Settings) -> None:
    code, printed = run("list")
    assert code == 0
    assert [key["purpose"] for key in printed["keys"]] == list(PURPOSES)
    for key in key_ring.load(settings).secrets.keys:
        assert base64.b64encode(key.secret).decode() not in str(printed)


def test_rotate_one_and_all(run: Run) -> None:
    code, printed = run("rotate", "token", "--in", "100")
    assert (code, states(printed, "token"), states(printed, "storage")) == (
        0,
        ["active", "waiting"],
        ["active"],
    )
    code, complaint = run("rotate", "token")
    assert (code, "waiting for its turn" in complaint) == (1, True)
    assert run("rotate", "--in", "0")[0] == 1, "all or none"
    assert [states(run("list")[1], purpose) for purpose in ("storage", "link")] == [["active"], ["active"]]


def test_old_keys_of_what_expires_retire_by_themselves(run: Run) -> None:
    _, printed = run("rotate", "--in", "0")
    ends = {key["purpose"]: key["retire_at_ms"] for key in printed["keys"] if key["retire_at_ms"]}
    assert ends.keys() == {"token", "refresh", "link"}
    assert 0 < ends["token"] - now_ms() <= 660_000
    assert ends["refresh"] - now_ms() > 29 * 24 * 3_600_000
    assert states(printed, "index") == ["decrypt-only", "active"]


@pytest.mark.parametrize("words", [["rotate", "keys"], ["rotate", "--in", "-1"]])
def test_bad_usage(run: Run, words: list[str]) -> None:
    assert run(*words)[0] == 2


def test_retire_of_a_key_in_use(run: Run) -> None:
    [storage] = [key["id"] for key in run("list")[1]["keys"] if key["purpose"] == "storage"]
    assert run("retire", storage) == (1, f"The key {storage} is active; first: roost keys rotate storage.\n")
    assert run("retire", "s0")[0] == 1
    run("rotate", "storage", "link", "--in", "0")
    code, complaint = run("retire", storage)
    assert (code, "Nothing runs with" in complaint) == (3, True), "whether it is used cannot be seen"
    link = next(key["id"] for key in run("list")[1]["keys"] if key["purpose"] == "link")
    code, printed = run("retire", link)
    assert (code, states(printed, "link")) == (0, ["retired", "active"])


def test_seal_and_unseal(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("seal")[0] == 2, "there is no master key"
    before = key_ring.load(settings).secrets
    master, other = tmp_path / "master", tmp_path / "other"
    for file, text in ((master, MASTER), (other, base64.b64encode(b"o" * 32).decode())):
        file.touch(0o600)
        file.write_text(text)
    monkeypatch.setenv("ROOST_KEYRING__MASTER_FILE", str(master))
    assert run("list")[0] == 1, "unsealed where there is a master key"
    assert run("seal")[0] == 0
    assert b"storage" not in settings.keyring_file.read_bytes()
    assert stat.S_IMODE(settings.keyring_file.stat().st_mode) == 0o600
    monkeypatch.setenv("ROOST_KEYRING__MASTER_FILE", str(other))
    code, complaint = run("rotate")
    assert (code, "another master key" in complaint) == (1, True)
    assert run("seal", "--old-master", str(master))[0] == 0
    assert run("rotate", "token", "--in", "0")[0] == 0
    assert run("unseal")[0] == 0
    monkeypatch.delenv("ROOST_KEYRING__MASTER_FILE")
    assert not key_ring.load(settings).secrets.lacks(before)


# --- where the master key is from -----------------------------------------------------------------


def with_master(tmp_path: Path, **where: str) -> Settings:
    return Settings.load({"data": str(tmp_path), "keyring": where})


def test_master_key_from_each_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "master"
    file.touch(0o600)
    file.write_text(MASTER)
    monkeypatch.setenv("MY_KEY", MASTER)
    sources = {"master_file": str(file), "master_env": "MY_KEY", "master_command": f"cat '{file}'"}
    for name, value in sources.items():
        master = key_ring.master_of(with_master(tmp_path, **{name: value}))
        assert master is not None
        assert master() == b"m" * 32
    with pytest.raises(SettingsInvalid, match="one place"):
        with_master(tmp_path, **sources)


@pytest.mark.attack("master key readable by others")
def test_master_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "master"
    file.write_text(MASTER)
    file.chmod(0o644)
    with pytest.raises(KeyRingError, match="chmod 600"):
        key_ring.make(with_master(tmp_path, master_file=str(file)))


@pytest.mark.parametrize(
    ("where", "complaint"),
    [
        ({"master_file": "/nowhere/at/all"}, "cannot be read"),
        ({"master_env": "NOT_SET_ANYWHERE"}, "not set"),
        ({"master_command": "false"}, "exit code 1"),
        ({"master_command": "/no/such/program"}, "did not run"),
        ({"master_command": "echo 'unbalanced"}, "did not run"),
        ({"master_command": "echo short"}, "openssl rand"),
        ({"master_command": f"{sys.executable} -c 'import sys; sys.exit(\"no right\")'"}, "no right"),
    ],
)
def test_master_key_that_cannot_be_had(tmp_path: Path, where: dict[str, str], complaint: str) -> None:
    with pytest.raises(KeyRingError, match=complaint):
        key_ring.make(with_master(tmp_path, **where))
    assert not (tmp_path / "keyring.json").exists()


# --- processes ------------------------------------------------------------------------------------


async def until_serial(ring: KeyRing, serial: int) -> None:
    async with asyncio.timeout(10):
        while ring.secrets.serial != serial:
            await asyncio.sleep(0.005)


async def nobody_else(installation: str, serial: int) -> int:
    return serial if installation else 0


async def test_process_takes_a_changed_ring_and_keeps_its_own_when_it_is_damaged(settings: Settings) -> None:
    ring = key_ring.make(settings)
    watch = RingWatch(ring, nobody_else, every_s=0.01)
    key_ring.rotate(settings, ["storage"], now_ms(), 0)
    await until_serial(ring, 2)
    content = settings.keyring_file.read_bytes()
    settings.keyring_file.write_bytes(content[:100])
    await asyncio.sleep(0.05)
    assert ring.secrets.serial == 2
    assert ring.unseal("a", "b", "c", ring.seal("a", "b", "c", "still works")) == "still works"
    await watch.close()


@pytest.mark.attack("older copy of the key ring on one of several machines")
async def test_process_with_an_older_copy_says_so(settings: Settings) -> None:
    async def newer_elsewhere(_: str, serial: int) -> int:
        return serial + 1

    with structlog.testing.capture_logs() as logs:
        watch = RingWatch(key_ring.make(settings), newer_elsewhere)
        await asyncio.sleep(0.01)
        await watch.close()
    assert logs == [{"event": "key_ring_behind", "log_level": "error", "serial": 1, "newest": 2}]


class Audit:
    """Takes what is appended, and is away all the same: nothing hangs on its answer."""

    def __init__(self) -> None:
        self.acts: list[Act] = []

    async def append(self, act: Act, _at_ms: int) -> None:
        self.acts.append(act)
        raise Unavailable("The store is away.")


async def test_token_key_is_rotated_when_it_has_served_its_time(settings: Settings) -> None:
    settings = settings.changed({"tokens": {"rotate_s": 100.0}, "keyring": {"lead_s": 0.0}})
    ring = key_ring.make(settings)
    made_ms = ring.signing_key().created_at_ms
    time = made_ms + 99_999
    audit: Any = Audit()
    rotation = TokenRotation(settings, ring, lambda: time, audit, look_s=0.01)
    await asyncio.sleep(0.05)
    assert RingFile(settings.keyring_file).read().serial == 1, "it is not due"
    time = made_ms + 100_000
    async with asyncio.timeout(10):
        while not ring.changed:
            await asyncio.sleep(0.005)
    ring.reload()
    await asyncio.sleep(0.05)
    await rotation.close()
    found = RingFile(settings.keyring_file).read()
    assert (found.serial, found.active("token", time).created_at_ms) == (2, time)
    assert audit.acts == [Act("coordinator", "keys.rotate", "token", "done")]


def test_a_key_of_web_push_is_replaced_with_a_word_about_its_subscriptions(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    key_ring.make(settings)
    where = ("--data", str(settings.data))
    old = key_ring.load(settings).vapid_key().id
    assert main(["keys", "rotate", "vapid", "--in", "0", *where]) == 0
    out, told = capsys.readouterr()
    assert "until then the old key wakes them" in out
    assert told.startswith("This is not in the audit log")
    assert main(["keys", "retire", old, *where]) == 0
    assert "are not woken until their client is opened" in capsys.readouterr().out
