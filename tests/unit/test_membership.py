import pytest

from actors.service import Alive
from cluster.supervision.membership import RESTARTING, RUNNING, SILENT, STARTING, Membership, Patience


def alive(life: str = "a") -> Alive:
    return Alive(life, 1, "127.0.0.1", "node", ("127.0.0.1", 1))


@pytest.fixture
def roles() -> Membership:
    membership = Membership(Patience(silence_ms=1_500, grace_ms=5_000))
    for role in ("host", "router"):
        for number in (1, 2):
            membership.expect(role, f"{role}-{number}", 0)
    return membership


def test_the_first_answers_decide(roles: Membership) -> None:
    assert not roles.settled(1_000)
    for name in ("host-1", "host-2", "router-1"):
        assert roles.heard(name, alive(), 900)
    assert not roles.settled(1_000)
    assert roles.state("router-2", 1_000) == STARTING
    roles.heard("router-2", alive(), 1_000)
    assert roles.settled(1_000)


def test_a_role_that_never_starts_does_not_delay_the_first_map(roles: Membership) -> None:
    assert not roles.settled(15_000)
    assert roles.settled(15_001)


def test_a_router_that_hangs_loses_its_shards_after_the_silence(roles: Membership) -> None:
    roles.heard("router-1", alive(), 1_000)
    roles.heard("router-2", alive(), 2_000)
    assert roles.serving("router", ["router-1"], 2_500) == ["router-1", "router-2"]
    assert roles.state("router-1", 2_501) == SILENT
    assert roles.serving("router", ["router-1"], 2_501) == ["router-2"]


def test_a_router_that_died_loses_them_at_once(roles: Membership) -> None:
    roles.heard("router-1", alive(), 1_000)
    roles.failed("router-1")
    assert roles.state("router-1", 1_001) == RESTARTING
    assert roles.serving("router", ["router-1"], 1_001) == []


def test_a_host_keeps_its_shards_for_the_grace(roles: Membership) -> None:
    roles.heard("host-1", alive(), 1_000)
    roles.failed("host-1")
    assert roles.serving("host", ["host-1"], 6_000) == ["host-1"]
    assert roles.serving("host", ["host-1"], 6_001) == []
    assert roles.serving("host", [], 1_001) == []  # it has no shards that could wait for it


def test_a_host_that_hangs_keeps_them_for_twice_the_silence(roles: Membership) -> None:
    roles.heard("host-1", alive(), 1_000)
    assert roles.state("host-1", 4_000) == SILENT
    assert roles.serving("host", ["host-1"], 4_000) == ["host-1"]
    assert roles.serving("host", ["host-1"], 4_001) == []


def test_a_new_incarnation_is_recognized(roles: Membership) -> None:
    assert roles.heard("host-1", alive("a"), 1_000)
    assert not roles.heard("host-1", alive("a"), 1_500)
    roles.failed("host-1")
    assert roles.heard("host-1", alive("b"), 3_000)
    assert roles.state("host-1", 3_000) == RUNNING
    assert roles.members("host")[0].incarnations == 2


def test_a_new_coordinator_gives_owners_time_to_answer(roles: Membership) -> None:
    assert roles.serving("router", ["router-2"], 5_000) == ["router-2"]
    assert roles.serving("router", ["router-2"], 5_001) == []


def test_roles_that_come_or_leave_own_nothing(roles: Membership) -> None:
    roles.expect("host", "host-3", 1_000, may_own=False)
    for name in ("host-1", "host-2", "host-3"):
        roles.heard(name, alive(), 1_000)
    assert roles.serving("host", ["host-1"], 1_100) == ["host-1", "host-2"]
    roles.admit(["host-3"], ["host-1"])
    assert roles.serving("host", ["host-1"], 1_100) == ["host-2", "host-3"]
    roles.forget("host-1")
    assert [m.name for m in roles.members("host")] == ["host-2", "host-3"]
