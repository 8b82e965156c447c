"""What operators' verbs say while they wait, and what to type next."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import events, operate
from cluster.cli.verbs import again
from cluster.local import data_lock, runfile
from cluster.settings import Settings
from roost.errors import Unavailable
from storage.event_records import Event


class Coordinator:
    """Answers as the coordinator does, with one more line each time."""

    def __init__(self) -> None:
        self.lines = ["host-2 at work after 1.0 s.", "host-1 stopped after 2.0 s."]
        self.asked = 0

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["act"] != "operation":
            return {"number": 0}
        self.asked += 1
        return {"lines": self.lines[: self.asked], "done": self.asked > 2, "failure": ""}


def test_what_is_typed_next_finds_the_same_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert again(Settings.load()) == ""
    assert again(Settings.load({"data": "/srv/roost"})) == " --data /srv/roost"
    both = Settings.load({"data": "/srv/roost", "cluster": {"address": "h:6379"}})
    assert again(both) == " --data /srv/roost --address h:6379"
    monkeypatch.setenv("ROOST_DATA", "/srv/roost")
    assert again(Settings.load()) == ""


@pytest.mark.parametrize(
    ("act", "what", "title"),
    [
        ("scale", {"host": 2, "router": 3}, "scale host=2 router=3"),
        ("grow", 8, "scale shards=8"),
        ("drain", "10.0.0.7", "drain 10.0.0.7"),
        ("upgrade", True, "upgrade"),
    ],
)
def test_an_operation_is_named_as_it_was_typed(act: str, what: Any, title: str) -> None:
    assert operate.title(act, what) == title


def test_each_step_of_an_operation_is_told_once_and_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    coordinator = Coordinator()
    found = asyncio.run(operate.followed(coordinator, {"act": "drain", "what": "host-1"}, quiet=False))
    assert found["done"]
    assert coordinator.asked == 3
    assert capsys.readouterr().out.splitlines() == coordinator.lines


def test_an_alarm_in_the_line_of_events_has_its_name() -> None:
    event = Event(1, 0, "alarm_raised", "RoostRoleAway", "host-1 does not respond.", "problem")
    assert events.line(event).endswith("alarm_raised     RoostRoleAway: host-1 does not respond.")


def test_a_system_that_is_starting_is_not_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Nothing runs with the data folder"):
        runfile.found(tmp_path)
    with data_lock.locked(tmp_path), pytest.raises(Unavailable, match="is still starting"):
        runfile.found(tmp_path)
