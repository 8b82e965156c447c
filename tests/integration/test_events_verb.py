"""``roost events`` on a real store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from roost.cli.command_line import main
from roost.clock import now_ms
from storage.keyring import KeyRing

Rows = Any


@pytest.fixture
def rows(mongo_url: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setenv("ROOST_DATA", str(tmp_path))
    monkeypatch.setenv("ROOST_MONGO__URL", mongo_url)
    monkeypatch.setenv("ROOST_MONGO__DATABASE", database)
    KeyRing.load_or_create(tmp_path / "keyring.json", now_ms)
    with MongoClient[dict[str, Any]](mongo_url) as client:
        found = client[database]["events"]
        found.insert_many([row(n) for n in (1, 2, 3)])
        yield found


def row(n: int) -> dict[str, Any]:
    text = {"text": f"host-{n} started.", "level": "info", "kind": "role_started", "subject": f"host-{n}"}
    return {"_id": n, "n": n, "at_ms": 1_795_000_000_000 + n, "by": "user:ann" if n == 2 else None} | text


def test_the_newest_come_last_for_people_and_machines(rows: Rows, capsys: pytest.CaptureFixture[str]) -> None:
    assert rows is not None
    assert main(["events", "--last", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-18 11:06:40Z   role_started     host-2 started.  (user:ann)",
        "2026-11-18 11:06:40Z   role_started     host-3 started.",
    ]
    assert main(["events", "--json"]) == 0
    assert [json.loads(line)["n"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]
    assert main(["events", "--last", "0"]) == 2
    assert "--last takes a number" in capsys.readouterr().err


@pytest.mark.slow
def test_it_goes_on_with_what_happens(rows: Rows) -> None:
    command = [sys.executable, "-m", "roost", "events", "--last", "1", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert json.loads(child.stdout.readline())["n"] == 3
            rows.insert_many([row(4), row(5)])
            assert [json.loads(child.stdout.readline())["n"] for _ in range(2)] == [4, 5]
        finally:
            child.terminate()
