"""Loops over many go on when one of the many fails: an essential loop must not end of one user's fault."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from actors.host.users.passivation import Passivation
from api.stream import registry
from api.stream.registry import Streams


class Stop(Exception):  # noqa: N818 -- what a test ends a loop with
    """The loop has gone round once."""


class Stream:
    """A stream whose clock may be broken."""

    user = "u-ann"

    def __init__(self, *, broken: bool) -> None:
        self.broken, self.ticks, self.ended = broken, 0, ""

    def tick(self, _now_ms: int) -> None:
        if self.broken:
            raise ArithmeticError
        self.ticks += 1

    def end(self, code: str, _detail: str) -> None:
        self.ended = code


async def test_time_goes_on_for_the_other_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    services: Any = SimpleNamespace(clock=lambda: 1)
    services.revocations = SimpleNamespace(listen=lambda _: None)
    services.hosts = SimpleNamespace(on_presence=lambda *_: None)
    services.subscriptions = SimpleNamespace(heard=None, linked=None)
    streams = Streams(services)
    many = [Stream(broken=number == 1) for number in range(3)]
    streams._all = cast("Any", dict.fromkeys(many))
    pauses = iter((None, Stop()))

    async def sleep(_seconds: float) -> None:
        if (stop := next(pauses)) is not None:
            raise stop

    monkeypatch.setattr(registry, "asyncio", SimpleNamespace(sleep=sleep))
    with capture_logs() as lines, pytest.raises(Stop):
        await streams.tick()
    assert [(each.ticks, each.ended) for each in many] == [(1, ""), (0, "internal"), (1, "")]
    assert [line["event"] for line in lines] == ["stream_failed"]


class Actor:
    """An idle actor, of which there may be no snapshot."""

    idle = True

    def __init__(self, *, broken: bool) -> None:
        self.broken = broken

    def release(self, _stored: int) -> None:
        """Nothing is kept."""

    def snapshot(self) -> str:
        if self.broken:
            raise ArithmeticError
        return "snapshot"


async def test_an_actor_that_cannot_be_let_go_keeps_no_other_here() -> None:
    users = {
        name: SimpleNamespace(
            actor=Actor(broken=name == "bob"),
            waiting=False,
            inbox=[],
            touched_ms=0,
            shard=SimpleNamespace(stored_seq=0),
        )
        for name in ("ann", "bob", "carol")
    }
    put: list[dict[str, str]] = []

    async def kept(snapshots: dict[str, str]) -> None:
        put.append(snapshots)

    pauses = iter((None, None, Stop()))

    async def sleep(_seconds: float) -> None:
        if (stop := next(pauses)) is not None:
            raise stop

    passivation = Passivation(
        cast("Any", SimpleNamespace(items=lambda: list(users.items()), remove=users.pop)),
        cast("Any", SimpleNamespace(put=kept)),
        lambda: 1_000,
        cast("Any", SimpleNamespace(sleep=sleep)),
        idle_ms=100,
        every_s=1.0,
    )
    with capture_logs() as lines, pytest.raises(Stop):
        await passivation.run()
    assert put == [{"ann": "snapshot", "carol": "snapshot"}]
    assert list(users) == ["bob"], "it is here as before"
    assert [line["event"] for line in lines] == ["passivation_failed"], "it is not tried at every sweep"
