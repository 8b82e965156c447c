import pytest

from actors.service import Alive
from cluster.control.membership import RESTARTING, RUNNING, SILENT, STARTING, Membership, Patience


def alive(life: str = "a") -> Alive:
    return Alive(life, 1, "127.0.0.1", "node", ("127.0.0.1", 1))


@pytest.fixture
def crew() -> Membership:
    membership = Membership(Patience(silence_ms=1_500, grace_ms=5_000))
    for role in ("host", "router"):
        for number in (1, 2):
            membership.expect(role, f"{role}-{number}", 0)
    return membership


def test_first_answers_settle_it(crew: Membership) -> None:
    assert not crew.settled(1_000)
    for name in ("host-1", "host-2", "router-1"):
        assert crew.heard(name, alive(), 900)
    assert not crew.settled(1_000)
    assert crew.state("router-2", 1_000) == STARTING
    crew.heard("router-2", alive(), 1_000)
    assert crew.settled(1_000)


def test_one_that_never_comes_does_not_hold_up_the_first_map(crew: Membership) -> None:
    assert not crew.settled(15_000)
    assert crew.settled(15_001)


def test_a_router_that_hangs_loses_its_shards_after_the_silence(crew: Membership) -> None:
    crew.heard("router-1", alive(), 1_000)
    crew.heard("router-2", alive(), 2_000)
    assert crew.serving("router", ["router-1"], 2_500) == ["router-1", "router-2"]
    assert crew.state("router-1", 2_501) == SILENT
    assert crew.serving("router", ["router-1"], 2_501) == ["router-2"]


def test_a_router_that_died_loses_them_at_once(crew: Membership) -> None:
    crew.heard("router-1", alive(), 1_000)
    crew.failed("router-1")
    assert crew.state("router-1", 1_001) == RESTARTING
    assert crew.serving("router", ["router-1"], 1_001) == []


def test_a_host_keeps_its_shards_for_the_grace(crew: Membership) -> None:
    crew.heard("host-1", alive(), 1_000)
    crew.failed("host-1")
    assert crew.serving("host", ["host-1"], 6_000) == ["host-1"]
    assert crew.serving("host", ["host-1"], 6_001) == []
    assert crew.serving("host", [], 1_001) == []  # it has no shards that could wait for it


def test_a_host_that_hangs_keeps_them_for_twice_the_silence(crew: Membership) -> None:
    crew.heard("host-1", alive(), 1_000)
    assert crew.state("host-1", 4_000) == SILENT
    assert crew.serving("host", ["host-1"], 4_000) == ["host-1"]
    assert crew.serving("host", ["host-1"], 4_001) == []


def test_a_new_life_is_told_apart(crew: Membership) -> None:
    assert crew.heard("host-1", alive("a"), 1_000)
    assert not crew.heard("host-1", alive("a"), 1_500)
    crew.failed("host-1")
    assert crew.heard("host-1", alive("b"), 3_000)
    assert crew.state("host-1", 3_000) == RUNNING
    assert crew.members("host")[0].lives == 2


def test_a_new_coordinator_gives_owners_time_to_answer(crew: Membership) -> None:
    assert crew.serving("router", ["router-2"], 5_000) == ["router-2"]
    assert crew.serving("router", ["router-2"], 5_001) == []


def test_who_comes_or_leaves_owns_nothing(crew: Membership) -> None:
    crew.expect("host", "host-3", 1_000, may_own=False)
    for name in ("host-1", "host-2", "host-3"):
        crew.heard(name, alive(), 1_000)
    assert crew.serving("host", ["host-1"], 1_100) == ["host-1", "host-2"]
    crew.exchange(["host-3"], ["host-1"])
    assert crew.serving("host", ["host-1"], 1_100) == ["host-2", "host-3"]
    crew.forget("host-1")
    assert [m.name for m in crew.members("host")] == ["host-2", "host-3"]
