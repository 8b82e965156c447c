"""A role is shown while it runs, and what it was built from is closed once it has stopped."""

import asyncio
from typing import Any, cast

import pytest
import structlog

from actors.service import Service
from cluster.role_shell import shell as module
from cluster.role_shell.shell import in_shell
from roost.errors import Unavailable


class Part:
    """A service or a server underneath: notes what is asked of it."""

    def __init__(self, name: str, done: list[str], failure: Exception | None = None) -> None:
        self.name, self.done, self.failure = name, done, failure

    async def start(self) -> None:
        self.done.append(f"{self.name} started")
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> list[str]:
        self.done.append(f"{self.name} stopped")
        if self.failure is not None:
            raise self.failure
        return ["gave up one write."]

    async def close(self) -> None:
        if isinstance(self.failure, TimeoutError):
            await asyncio.Event().wait()
        self.done.append(f"{self.name} closed")
        if self.failure is not None:
            raise self.failure


def service(
    done: list[str], *opened: Part, failure: Exception | None = None, unshown: Exception | None = None
) -> Service:
    role: Any = Part("role", done, failure)
    exporter: Any = Part("exporter", done, unshown)
    return in_shell(cast("Service", role), exporter, *opened)


async def test_servers_are_closed_after_the_role_has_stopped() -> None:
    done: list[str] = []
    role = service(done, Part("store", done), Part("cache", done))
    assert await role.stop() == ["gave up one write."]
    assert done[0] == "role stopped"
    assert sorted(done[1:]) == ["cache closed", "exporter stopped", "store closed"]


async def test_a_role_that_cannot_be_shown_runs_all_the_same() -> None:
    done: list[str] = []
    with structlog.testing.capture_logs() as logs:
        await service(done, unshown=OSError("no folder")).start()
    assert done == ["role started", "exporter started"]
    assert [(each["event"], each["reason"]) for each in logs] == [("metrics_not_shown", "no folder")]


async def test_a_stop_that_fails_closes_them_all_the_same() -> None:
    done: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        await service(done, Part("store", done), failure=ValueError("broken")).stop()
    assert done == ["role stopped", "exporter stopped", "store closed"]


@pytest.mark.parametrize("failure", [Unavailable("MongoDB is away."), TimeoutError()], ids=["away", "hangs"])
async def test_a_server_that_is_away_is_named_and_keeps_no_other_open(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(module, "_CLOSE_S", 0.05)
    done: list[str] = []
    with structlog.testing.capture_logs() as logs:
        assert await service(done, Part("store", done, failure), Part("cache", done)).stop()
    assert "cache closed" in done
    assert [(each["event"], each["what"]) for each in logs] == [("not_closed", "Part")]
