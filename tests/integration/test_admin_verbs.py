"""``roost admin`` on a real store: accounts, scopes, and the audit log of it."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from pymongo import MongoClient

from cluster.cli import admin_rights
from cluster.cli.running_store import opened_store
from cluster.settings import Settings
from roost.cli.command_line import main
from roost.clock import now_ms
from storage.account_rows import User
from storage.keyring import KeyRing

PASSWORD = "correct horse battery"


class Verbs:
    """Runs verbs as a shell does."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def run(self, *words: str, code: int = 0) -> Any:
        """Return what a verb printed as JSON, if it did."""
        found = main(["admin", *words])
        out, self.said = self._capsys.readouterr()
        assert found == code, (out, self.said)
        return json.loads(out) if "--json" in words and out else out


@pytest.fixture
def rows(mongo_url: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("ROOST_DATA", str(tmp_path))
    monkeypatch.setenv("ROOST_MONGO__URL", mongo_url)
    monkeypatch.setenv("ROOST_MONGO__DATABASE", database)
    KeyRing.load_or_create(tmp_path / "keyring.json", now_ms)
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[database]["users"].create_index("username", unique=True)
        yield client[database]


@pytest.fixture
def verbs(rows: Any, capsys: pytest.CaptureFixture[str]) -> Verbs:
    assert rows is not None
    return Verbs(capsys)


def opened(username: str, folder: Path) -> User:
    """Return an account, with what is sealed of it."""

    async def found() -> User:
        async with opened_store(Settings.load({"data": folder})) as store:
            user = await store.accounts.user_by_name(username)
        assert user is not None
        return user

    return asyncio.run(found())


def test_an_account_is_made_and_its_password_is_never_an_argument(
    verbs: Verbs, rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = verbs.run("create-user", "Root", "--generate", "--scope", "admin", "--json")
    row = rows["users"].find_one({"username": "root"})
    assert (made["user_id"], made["scopes"], row["scopes"]) == (row["_id"], ["admin"], ["admin"])
    assert PasswordHasher().verify(opened("root", tmp_path).password_hash, made["password"])
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert "ann is " in verbs.run("create-user", "ann", "--password-stdin", "--display-name", "Ann  L")
    row = rows["users"].find_one({"username": "ann"})
    ann = opened("ann", tmp_path)
    assert (ann.display_name, row["scopes"]) == ("Ann L", [])
    assert PasswordHasher().verify(ann.password_hash, PASSWORD)
    asked = iter([PASSWORD, PASSWORD, PASSWORD, "another"])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(asked))
    verbs.run("create-user", "eve")
    verbs.run("create-user", "mallory", code=2)
    assert "differ" in verbs.said
    with pytest.raises(SystemExit):
        main(["admin", "create-user", "x.y.z", "--password", PASSWORD])


def test_accounts_that_are_refused(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs.run("create-user", "root", "--generate")
    verbs.run("create-user", "ROOT", "--generate", code=1)
    assert "taken" in verbs.said
    verbs.run("create-user", "no such name", "--generate", code=2)
    verbs.run("create-user", "ann", "--generate", "--display-name", "\u200b", code=2)
    for password in ("password", "short", "root.two"):
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        verbs.run("create-user", "root.two", "--password-stdin", code=1)
    outcomes = [each["outcome"] for each in verbs.run("audit", "--json")["entries"]]
    assert outcomes == ["requested", "done", "requested", "refused: the username is taken"]


def test_scopes_are_granted_and_revoked_and_it_is_written_down(verbs: Verbs, rows: Any) -> None:
    verbs.run("create-user", "root", "--generate")
    assert verbs.run("grant", "ROOT", "admin", "--json") == {"username": "root", "scopes": ["admin"]}
    assert verbs.run("grant", "root", "observer") == "root has admin and observer.\n"
    head = verbs.said.split("audit log: ")[-1].strip()
    assert verbs.run("revoke", "root", "admin") == "root has observer.\n"
    assert rows["users"].find_one({"username": "root"})["scopes"] == ["observer"]
    verbs.run("grant", "nobody.here", "admin", code=1)
    found = verbs.run("audit", "--json", "--head", head)
    assert found["faults"] == []
    acts = [(each["act"], each["target"], each["outcome"]) for each in found["entries"]]
    assert acts[2:] == [
        (f"admin.{act}", f"root {scope}", outcome)
        for act, scope in (("grant", "admin"), ("grant", "observer"), ("revoke", "admin"))
        for outcome in ("requested", "done")
    ]
    assert "operator:" in verbs.run("audit", "--verify")
    assert found["head"] in verbs.said


@pytest.mark.attack("audit-log-changed-in-the-store")
def test_a_changed_log_is_found(verbs: Verbs, rows: Any) -> None:
    verbs.run("create-user", "root", "--generate")
    verbs.run("grant", "root", "admin")
    head = verbs.run("audit", "--json")["head"]
    rows["audit"].update_one({"_id": 3}, {"$set": {"target": "someone.else admin"}})
    assert verbs.run("audit", "--verify", "--json", code=1)["faults"] == [
        "Entry 3 was changed: its digest does not fit."
    ]
    rows["audit"].delete_many({"_id": {"$in": [3, 4]}})
    verbs.run("audit", "--verify")
    verbs.run("audit", "--head", head, code=1)
    assert "cut off" in verbs.said


def test_an_export_is_a_document_for_its_owner_alone(verbs: Verbs, rows: Any, tmp_path: Path) -> None:
    verbs.run("create-user", "ann", "--generate", "--display-name", "Ann")
    user = rows["users"].find_one({"username": "ann"})["_id"]
    printed = json.loads(verbs.run("export", "ANN"))
    assert (printed["account"]["display_name"], printed["mailbox"]) == ("Ann", [])
    assert "password_hash" not in printed["account"]
    file = tmp_path / "ann.json"
    file.touch(0o644)
    assert verbs.run("export", "ann", "--to", str(file)) == ""
    assert (json.loads(file.read_text()), file.stat().st_mode & 0o777) == (printed, 0o600)
    verbs.run("export", "nobody.here", code=1)
    assert "no user 'nobody.here'" in verbs.said
    acts = [(each["act"], each["target"]) for each in verbs.run("audit", "--json")["entries"]]
    assert acts[2:] == [("admin.export", user)] * 4


def test_an_erasure_needs_a_yes_and_a_host(verbs: Verbs, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs.run("create-user", "ann", "--generate")
    user = rows["users"].find_one({"username": "ann"})["_id"]
    monkeypatch.setattr("sys.stdin", io.StringIO("ann\n"))  # no terminal: that is no one's word
    verbs.run("erase", "ann", code=2)
    assert "--yes" in verbs.said
    assert rows["erasures"].find_one({"_id": user}) is None
    verbs.run("erase", "nobody.here", "--yes", code=1)
    monkeypatch.setattr(admin_rights, "_LONGEST_S", 0.0)
    verbs.run("erase", "Ann", "--yes", "--json", code=1)
    assert "No host has begun" in verbs.said
    assert rows["erasures"].find_one({"_id": user})["state"] == "asked"
    entries = [each for each in verbs.run("audit", "--json")["entries"] if each["act"] == "admin.erase"]
    assert [(each["target"], each["outcome"].partition(":")[0]) for each in entries] == [
        (user, "requested"),
        (user, "failed"),
    ]


def test_without_a_key_ring_or_a_system_it_says_what_to_do(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keyring.json").unlink()
    verbs.run("grant", "root", "admin", code=2)
    assert "key ring" in verbs.said
    monkeypatch.delenv("ROOST_MONGO__URL")
    verbs.run("audit", code=3)
    assert "roost up" in verbs.said
