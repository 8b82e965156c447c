"""The end of a run of the control plane: no more faults, and within a bounded time all is as it should be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from storage.records import decode_push
from storage.topics import MAILBOX, PUSH, PUSHERS

if TYPE_CHECKING:
    from sim.deterministic.control.world import World

_BOUND_S = 300
_LOOK_EVERY_S = 1.0


def settle(world: "World") -> None:
    """Bring the world to rest; a violation if it does not come to rest."""
    heal(world)
    _wait(world)
    if world.plan.exam and world.truth.violation is None:
        for process in world.roles():
            world.machines.die(process)
        _wait(world)


def heal(world: "World") -> None:
    """Have every fault end."""
    world.network.away.clear()
    world.network.severed.clear()
    world.network.troubles.clear()
    world.push_troubles = 0
    world.machines.head_away = False
    for node in sorted(world.network.cut):
        world.machines.heal(node)
    for process in world.processes():
        world.loop.continue_life(process.life)
    if world.incumbent is not None:
        world.incumbent.dies_in = None
        world.loop.continue_life(world.incumbent)


def _wait(world: "World") -> None:
    begun, why = world.loop.time(), "nothing"
    while world.loop.time() - begun < _BOUND_S and world.truth.violation is None:
        world.pass_time(_LOOK_EVERY_S)
        why = next(_open(world), "")
        if not why:
            return
    world.truth.fail("unrest", f"after {_BOUND_S} s without faults: {why}")


def _open(world: "World") -> Iterator[str]:
    """Yield what is not as it should be."""
    status = world.status()
    if status is None or status["refused"] or not status["ready"]:
        away = [
            f"{row['name']} {row['state']} {row.get('detail')}" for row in (status or {}).get("roles", [])
        ]
        yield f"the coordinator is not ready: {away}"
    if world.operator.wishes:
        yield f"the operator waits for {list(world.operator.wishes)}: {world.operator.refused}"
    yield from _roster(world)
    yield from _owners(world)
    yield from _records(world)


def _roster(world: "World") -> Iterator[str]:
    """The roles are those of the roster, each one once, and no process is left over."""
    roster = world.database.the_roster
    if roster is None or roster.coming or roster.going:
        yield f"a rollout is not finished: {roster}"
        return
    serving = sorted(process.role for process in world.roles())
    if serving != sorted(roster.names):
        yield f"in the roster {sorted(roster.names)}, serving {serving}"
    counts = {role: sum(n.startswith(f"{role}-") for n in roster.names) for role in world.operator.counts}
    if counts != world.operator.counts:
        yield f"there are {counts}, and {world.operator.counts} were wished for"
    known = {each.node.id for each in world.machines.machines.values() if each.known}
    closed = world.operator.cordoned & known
    others = [process.name for process in world.processes() if not process.role]
    if len(others) != (world.plan.spares if known - closed else 0):
        yield f"processes without a role: {others}"
    misplaced = [process.name for process in world.processes() if process.life.node in closed]
    if (misplaced and known - closed) or set(roster.cordoned) != closed:
        yield f"drained are {sorted(closed)}, cordoned {roster.cordoned}, there {misplaced}"


def _owners(world: "World") -> Iterator[str]:
    """Everybody has the newest map, whose owners serve and whose bases are the log's."""
    newest, logs = world.database.map, world.database.logs
    if newest is None:
        yield "there is no map"
        return
    names = {process.role for process in world.roles()}
    if not {*newest.hosts, *newest.routers, *newest.pushers} <= names:
        yield f"owners that do not serve: {newest}"
    for process in world.roles():
        shard_map = world.view_of(process)
        bases = tuple(logs[shard].base for shard in sorted(logs))
        if shard_map is None or shard_map.version != newest.version or shard_map.bases != bases:
            yield f"{process.role} has not the newest map"
    if world.broker.partitions(MAILBOX) != len(newest.hosts) or world.broker.partitions(PUSH) != len(
        newest.hosts
    ):
        yield f"{len(newest.hosts)} shards, {world.broker.partitions(MAILBOX)} partitions"


def _records(world: "World") -> Iterator[str]:
    """All that was accepted is stored, and everybody who was to be woken has been."""
    if unstored := world.truth.unstored():
        yield f"accepted and not stored: {unstored[:5]}"
    committed = world.broker.offsets[PUSH, PUSHERS]
    waiting = [
        decode_push(value).device
        for shard, each in enumerate(world.broker.topics.get(PUSH, []))
        for value in each.records[max(0, committed.get(shard, 0) - each.start) :]
        if decode_push(value).device not in world.truth.sent
    ]
    if waiting:
        yield f"wake-ups that were not sent: {waiting[:5]}"
