"""When a log counts as caught up: what the writers know counts, too. And when a lost one is over."""

from typing import Any, cast

import pytest
import structlog

from actors.ray_actor import RoleAway, RoleFailed
from cluster.control import log_clients
from cluster.control.log_clients import RolesAsLogClients
from cluster.log.unfinished import unread
from cluster.supervision.membership import Membership, Patience
from cluster.supervision.roles import Roles

READ = {"caught_up": True, "stored": {0: 10, 1: 20}}


@pytest.mark.parametrize(
    ("writers", "missing"),
    [
        ([], {}),
        ([{"appended": {"mailbox": {}}}], {}),
        ([{"appended": {"mailbox": {0: 10, 1: 20}}}], {}),
        ([{"appended": {"mailbox": {0: 11}}}], {0: 11}),
        ([{"appended": {"mailbox": {0: 11}}}, {"appended": {"mailbox": {0: 44}}}], {0: 44}),
        ([{"appended": {"mailbox": {"1": 21}}}], {1: 21}),
        ([{"appended": {"mailbox": {2: 1}}}], {2: 1}),
        ([{"appended": {"push": {0: 99}}}], {}),
        ([{"users": 3}], {}),
    ],
)
def test_unread_messages_are_named(writers: list[dict[str, object]], missing: dict[int, int]) -> None:
    assert unread("router", writers, [READ]) == missing


def test_readers_are_counted_together() -> None:
    writers = [{"appended": {"push": {0: 5, 1: 7}}}]
    assert unread("pusher", writers, [{"stored": {0: 5}}, {"stored": {1: 7}}]) == {}
    assert unread("pusher", writers, [{"stored": {0: 5}}]) == {1: 7}


class Debtor:
    """The supervisor of a host, and its handle: it owes for so many questions."""

    role, left = "host", False

    def __init__(self, name: str, owes: int, failure: Exception | None = None) -> None:
        self.name, self.owes, self.failure, self.handle = name, owes, failure, self

    async def tell(self, message: dict[str, Any], timeout_s: float) -> list[int]:
        assert message == {"act": "end_logs", "bases": [(0, 9)]}
        assert timeout_s
        self.owes -= 1
        if self.failure is not None:
            raise self.failure
        return [0] if self.owes >= 0 else []


def clients_of(*hosts: Debtor, running: bool = True) -> RolesAsLogClients:
    class Mine(Roles):
        def running(self, supervisor: Any) -> bool:  # noqa: ARG002 -- all are alike
            return running

    roles = Mine(Membership(Patience(1, 1)))
    roles.supervisors = {each.name: cast("Any", each) for each in hosts}
    return RolesAsLogClients(roles, nothing)


async def nothing() -> None: ...


async def test_a_log_has_ended_once_every_host_has_stored_its_records() -> None:
    hosts = Debtor("host-1", 3), Debtor("host-2", 1)
    await clients_of(*hosts).end_logs({0: 9})
    assert [each.owes for each in hosts] == [-1, -1]


@pytest.mark.parametrize("failure", [RoleAway("away"), None])
async def test_waiting_for_a_hosts_unstored_records_is_bounded(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    monkeypatch.setattr(log_clients, "_END_S", 0.1)
    with structlog.testing.capture_logs() as logs:
        await clients_of(Debtor("host-1", 10**6, failure)).end_logs({0: 9})
    assert [each["by"] for each in logs] == [["host-1"]]


async def test_a_silent_or_older_host_is_not_waited_for() -> None:
    silent, older = Debtor("host-1", 5), Debtor("host-2", 5, RoleFailed("takes no message"))
    await clients_of(silent, running=False).end_logs({0: 9})
    assert silent.owes == 5
    await clients_of(older).end_logs({0: 9})
    assert older.owes == 4
