"""Who takes whose place: the rules, without a process."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ray_actor import RELEASE, RoleAway, RoleHandle
from actors.service import Alive, Node
from cluster.operations.roster import Roster
from cluster.supervision import spares as module
from cluster.supervision.membership import Membership, Patience
from cluster.supervision.roles import Roles
from cluster.supervision.spares import Spares
from cluster.supervision.supervisor import Supervisor
from storage.cluster_rows import StoredRoster
from tests.live.waiting import until_found

PATIENCE = Patience(silence_ms=1_500, grace_ms=5_000)


def alive(pid: int = 1, *, release: str = "1.0", node_id: str = "here") -> Alive:
    return Alive(f"life-{pid}", pid, "127.0.0.1", node_id, ("127.0.0.1", 1), release)


def spares_of(*ready: Alive | None, closed: tuple[str, ...] = ()) -> tuple[Spares, list[tuple[str, str]]]:
    """Return spares with these lives, None for one that is not ready, and where swaps are noted."""
    swaps: list[tuple[str, str]] = []
    spares = Spares(
        len(ready),
        "here",
        lambda name: RoleHandle("spare", name, None),
        lambda node_id: node_id not in closed,
        lambda *swap: swaps.append(swap),
    )
    for spare, life in zip(spares._spares, ready, strict=True):
        spare.handle, spare.alive = RoleHandle("spare", spare.name, None), life
    return spares, swaps


HOST = RoleHandle("host", "host-1", None)
ROUTER = RoleHandle("router", "router-1", None)


async def test_a_spare_becomes_the_role_under_its_name() -> None:
    spares, swaps = spares_of(alive(7))
    heir = await spares.take(HOST, alive(1))
    assert heir is not None
    assert (heir.role, heir.name, heir.process) == ("host", "host-1", "spare-1")
    assert swaps == [("host-1", "spare-1")]


async def test_each_spare_takes_one_place() -> None:
    spares, swaps = spares_of(alive(7), alive(8))
    first, second = await spares.take(HOST, alive(1)), await spares.take(ROUTER, alive(2))
    assert first is not None
    assert second is not None
    assert (first.process, second.process) == ("spare-1", "spare-2")
    assert await spares.take(HOST, alive(3)) is None
    assert swaps == [("host-1", "spare-1"), ("router-1", "spare-2")]


@pytest.mark.parametrize(
    ("life", "closed"),
    [
        (None, ()),  # its modules are being loaded
        (alive(7, release="0.9"), ()),  # it was made before an upgrade
        (alive(7, node_id="drained"), ("drained",)),
    ],
)
async def test_an_ineligible_spare_takes_no_place(life: Alive | None, closed: tuple[str, ...]) -> None:
    spares, swaps = spares_of(life, closed=closed)
    assert await spares.take(HOST, alive(1)) is None
    assert swaps == []


class Elsewhere(RoleHandle):
    """A spare's process on a machine that Ray tells us about."""

    def __init__(self, life: Alive, *, dead: bool = False) -> None:
        super().__init__("spare", "spare-1", None)
        self.life, self.dead, self.ended_after = life, dead, 0

    async def warm(self, loader: str) -> Alive:  # noqa: ARG002 -- the real one's
        if self.dead:
            raise RoleAway("dead")
        return self.life

    def kill(self) -> None:
        self.dead = True

    def ended(self, pid: int | None) -> bool:  # noqa: ARG002 -- the real one's
        if self.dead and self.ended_after:
            self.ended_after -= 1
            return False
        return self.dead


async def test_a_spare_that_died_with_the_machine_of_the_dead_takes_no_place() -> None:
    spares, swaps = spares_of(alive(7, node_id="far"), alive(8, node_id="near"))
    spares._spares[0].handle = Elsewhere(alive(7, node_id="far"), dead=True)
    spares._spares[1].handle = Elsewhere(alive(8, node_id="near"))
    heir = await spares.take(HOST, alive(1, node_id="far"))
    assert heir is not None
    assert swaps == [("host-1", "spare-2")]
    assert spares._spares[0].alive is None, "a new one is made at once"


async def test_when_two_roles_die_one_gets_the_only_spare() -> None:
    spares, swaps = spares_of(alive(7, node_id="far"))
    spares._spares[0].handle = Elsewhere(alive(7, node_id="far"))
    heirs = await asyncio.gather(spares.take(HOST, alive(1)), spares.take(ROUTER, alive(2)))
    assert sum(heir is not None for heir in heirs) == len(swaps) == 1


async def test_a_spare_leaves_a_machine_that_is_drained_and_is_made_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for pause in ("_STORM_S", "_AGAIN_S", "_LOOK_EVERY_S"):
        monkeypatch.setattr(module, pause, 0.001)
    closed: set[str] = set()
    there, too, elsewhere = (
        Elsewhere(alive(n, release=RELEASE, node_id=node)) for n, node in ((1, "a"), (2, "a"), (3, "b"))
    )
    made = iter((there, too, elsewhere))
    spares = Spares(1, "here", lambda _: next(made), lambda node: node not in closed, lambda *_: None)
    task = asyncio.create_task(spares.run(lambda: True))
    await until_found(lambda: spares.rows()[0]["pid"] == 1 if spares.rows() else False)
    assert await spares.leave("b") == 0
    closed.add("a")
    there.ended_after = 3
    assert await spares.leave("a") == 1
    assert there.dead
    assert there.ended_after == 0, "no role is told so before its process has ended"
    await until_found(lambda: spares.rows()[0]["pid"] == 3)
    assert too.dead, "Ray had put it on the drained machine once more"
    task.cancel()


# --- processes that are swapped -------------------------------------------------------------------


class Rosters:
    """A store that takes its time."""

    def __init__(self) -> None:
        self.the_roster: StoredRoster | None = None

    async def put_roster(self, roster: StoredRoster) -> None:
        await asyncio.sleep(0.001)
        self.the_roster = roster


def roster_in(store: Any) -> Roster:
    roles = Roles(Membership(PATIENCE))
    hire: Any = None
    return Roster({"host": 1}, store, roles, hire, lambda: [Node("here", "127.0.0.1")])


ROLES = st.sampled_from(["host-1", "router-1", "host-2"])
SPARES = st.sampled_from(["spare-1", "spare-2"])


@given(st.lists(st.tuples(ROLES, SPARES)))
def test_no_two_ever_share_one_process(swaps: list[tuple[str, str]]) -> None:
    roster = roster_in(Rosters())
    for one, other in swaps:
        before = roster.process_of(one), roster.process_of(other)
        roster.swap(one, other)
        assert (roster.process_of(other), roster.process_of(one)) == before
    names = ["host-1", "router-1", "host-2", "spare-1", "spare-2"]
    assert sorted(map(roster.process_of, names)) == sorted(names)


async def test_a_swap_outlives_the_coordinator_and_a_change_that_is_being_written() -> None:
    store = Rosters()
    roster = roster_in(store)
    roster.stored = StoredRoster({"host": 1}, ("host-1",))
    await asyncio.gather(roster.begin_change(["host-2"], ["host-1"]), swapped(roster))
    assert store.the_roster == roster.stored
    assert roster.stored.processes == {"host-1": "spare-1", "spare-1": "host-1"}
    assert roster.stored.coming == ("host-2",)


async def test_of_two_changes_that_are_made_at_once_neither_is_lost() -> None:
    """A machine leaves just when a rollout begins: who comes would run, and be in no roster."""
    store = Rosters()
    roster = roster_in(store)
    roster.stored = StoredRoster({"host": 1}, ("host-1",), cordoned=("gone",))
    await asyncio.gather(roster.begin_change(["host-2"], []), roster.look())
    assert store.the_roster == roster.stored
    assert (roster.stored.names, roster.stored.cordoned) == (("host-1", "host-2"), ())


async def swapped(roster: Roster) -> None:
    roster.swap("host-1", "spare-1")
    await roster.write_down()


# --- what a supervisor does when its role dies --------------------------------------------------------


class Process(RoleHandle):
    """A role's process that answers, hangs or is dead, as the test says."""

    def __init__(self, life: Alive, *, process: str = "") -> None:
        super().__init__("host", "host-1", None, process)
        self.life, self.answers, self.dead = life, asyncio.Event(), False
        self.answers.set()

    def of(self, role: str, name: str) -> RoleHandle:
        assert (role, name) == ("host", "host-1")
        return self

    async def beat(self) -> tuple[Alive, dict[str, Any]]:
        if self.dead:
            raise RoleAway("dead")
        await self.answers.wait()
        return self.life, {}

    async def resume_writes(self) -> None:
        """Nothing was held."""

    def ended(self, pid: int | None) -> bool:  # noqa: ARG002 -- the real one's
        return self.dead


async def supervised(
    first: Process, heir: Process | None
) -> tuple[Supervisor, Membership, "asyncio.Task[None]"]:
    """Return a supervisor that has seen the first process, with a spare if there is an heir."""
    spares, _ = spares_of(heir.life if heir is not None else None)
    spares._spares[0].handle = heir
    membership = Membership(PATIENCE)
    membership.expect("host", "host-1", 0)
    supervisor = Supervisor(
        "host",
        "host-1",
        spawn=lambda: first,
        membership=membership,
        heartbeat_s=0.01,
        changed=lambda: None,
        spares=spares,
    )
    task = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(5):
        while membership.members()[0].alive is None:
            await asyncio.sleep(0.001)
    return supervisor, membership, task


async def life_of(membership: Membership, pid: int) -> None:
    async with asyncio.timeout(5):
        while (seen := membership.members()[0].alive) is None or seen.pid != pid:
            await asyncio.sleep(0.001)


async def test_a_death_is_no_absence_when_there_is_a_spare() -> None:
    first, heir = Process(alive(1, node_id="far")), Process(alive(2, node_id="far"), process="spare-1")
    supervisor, membership, task = await supervised(first, heir)
    first.dead = True
    await life_of(membership, 2)
    assert supervisor.handle is heir
    assert supervisor.failure == ""
    assert membership.members()[0].incarnations == 2
    task.cancel()


async def test_the_end_of_the_process_cuts_short_a_call_that_hangs() -> None:
    first, heir = Process(alive(1, node_id="far")), Process(alive(2, node_id="far"), process="spare-1")
    supervisor, membership, task = await supervised(first, heir)
    first.answers.clear()
    await asyncio.sleep(0.05)
    assert supervisor.handle is first
    supervisor._is_dead()  # what `ExitWatch` calls
    await life_of(membership, 2)
    task.cancel()


async def test_an_unresponsive_role_that_may_live_keeps_its_place() -> None:
    first, heir = Process(alive(1, node_id="far")), Process(alive(2, node_id="far"), process="spare-1")
    supervisor, _, task = await supervised(first, heir)

    async def unreachable() -> tuple[Alive, dict[str, Any]]:
        raise RoleAway("cut off")

    first.beat = unreachable  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        while not supervisor.failure:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert supervisor.handle is first
    task.cancel()


async def test_without_a_spare_a_new_process_is_made_at_once() -> None:
    first, second = Process(alive(1, node_id="far")), Process(alive(2, node_id="far"))
    supervisor, membership, task = await supervised(first, None)
    supervisor._spawn = lambda: second
    first.dead = True
    await life_of(membership, 2)
    assert supervisor.handle is second
    task.cancel()
