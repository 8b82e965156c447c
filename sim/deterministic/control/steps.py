"""What can happen to a control plane: how each kind of step is drawn, and how it is performed."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from sim.deterministic.control.fleet import HEAD
from sim.deterministic.control.network import FATES, SERVERS, Fate
from sim.deterministic.control.process import Process
from sim.deterministic.control.world import World
from storage.topics import MAILBOX

Step = tuple[Any, ...]
"""Name of the kind, what it needs, and the milliseconds that pass then."""

_PAUSES_MS = (0, 20, 100, 300, 1_000, 2_500, 6_000, 12_000)
_MOST_MACHINES = 4
_MOST_SHARDS = 8
_MOST_ROLES = 3
_SCALED = ("host", "router", "gateway", "pusher")


class Kind(NamedTuple):
    """A kind of step.

    Attributes:
        draw: Returns what it needs; None if it cannot happen now.
        perform: Does it; returns whether it came to anything.
        weight: How often it is drawn.
        fault: Only some runs have it.
    """

    draw: Callable[[World, Random], Step | None]
    perform: Callable[..., bool]
    weight: float
    fault: bool = True


def perform(world: World, step: Step) -> bool:
    """Do a step, and let its time pass; returns whether it came to anything."""
    name, *what, pause_ms = step
    came = KINDS[name].perform(world, *what)
    world.pass_time(pause_ms / 1000)
    return came


def drawn(world: World, rng: Random, name: str) -> Step | None:
    """Draw a step of this kind."""
    what = KINDS[name].draw(world, rng)
    return None if what is None else (name, *what, rng.choice(_PAUSES_MS))


# --- time ---


def _nothing(_world: World, _rng: Random) -> Step:
    return ()


def _pass(_world: World) -> bool:
    return True


# --- processes ---


def _name(process: Process) -> str:
    return process.role or process.name


def _process(world: World, rng: Random) -> Step | None:
    found = [_name(each) for each in world.processes()]
    return (rng.choice(found),) if found else None


def _find(world: World, name: str) -> Process | None:
    return next((each for each in world.processes() if _name(each) == name), None)


def _kill(world: World, name: str) -> bool:
    process = _find(world, name)
    if process is not None:
        world.machines.die(process)
    return process is not None


def _hang(world: World, name: str) -> bool:
    process = _find(world, name)
    if process is not None:
        world.loop.stop_life(process.life)
    return process is not None


def _frozen(world: World, rng: Random) -> Step | None:
    found = [_name(each) for each in world.processes() if each.life.frozen is not None]
    return (rng.choice(found),) if found else None


def _go_on(world: World, name: str) -> bool:
    process = _find(world, name)
    if process is not None:
        world.loop.continue_life(process.life)
    return process is not None


# --- the coordinator ---


def _calls(_world: World, rng: Random) -> Step:
    return (rng.choice((0, 0, rng.randint(1, 12), rng.randint(1, 60), rng.randint(1, 300))),)


def _kill_coordinator(world: World, calls: int) -> bool:
    if world.incumbent is None or world.incumbent.dead:
        return False
    if calls:
        world.incumbent.dies_in = calls
    else:
        world.kill_coordinator()
    return True


def _hang_coordinator(world: World) -> bool:
    if world.incumbent is None or world.incumbent.dead:
        return False
    world.loop.stop_life(world.incumbent)
    return True


def _coordinator_goes_on(world: World) -> bool:
    if world.incumbent is None or world.incumbent.frozen is None:
        return False
    world.loop.continue_life(world.incumbent)
    return True


# --- machines ---


def _machine(world: World, rng: Random) -> Step | None:
    found = [name for name, each in world.machines.machines.items() if name != HEAD and each.up]
    return (rng.choice(found),) if found else None


def _cut_one(world: World, rng: Random) -> Step | None:
    return (rng.choice(sorted(world.network.cut)),) if world.network.cut else None


def _cut(world: World, node: str) -> bool:
    if node in world.network.cut or node not in world.machines.machines:
        return False
    world.machines.cut(node)
    return True


def _heal(world: World, node: str) -> bool:
    if node not in world.network.cut:
        return False
    world.machines.heal(node)
    return True


def _sever(world: World, node: str) -> bool:
    world.network.severed ^= {node}
    return True


def _crash(world: World, node: str) -> bool:
    if node not in world.machines.machines or not world.machines.machines[node].up:
        return False
    world.machines.crash(node)
    return True


def _join_drawn(world: World, _rng: Random) -> Step | None:
    there = sum(each.known for each in world.machines.machines.values())
    return () if there < _MOST_MACHINES else None


def _join(world: World) -> bool:
    world.join()
    return True


def _head(world: World) -> bool:
    world.machines.head_away = not world.machines.head_away
    return True


# --- servers ---


def _server(_world: World, rng: Random) -> Step:
    return (rng.choice(SERVERS[:3]),)


def _away_one(world: World, rng: Random) -> Step | None:
    return (rng.choice(sorted(world.network.away)),) if world.network.away else None


def _away(world: World, server: str) -> bool:
    world.network.away.add(server)
    return True


def _back(world: World, server: str) -> bool:
    world.network.away.discard(server)
    return True


def _trouble_drawn(_world: World, rng: Random) -> Step:
    return rng.choice(SERVERS), rng.choice(FATES), rng.choice((1, 1, 2, 5))


def _trouble(world: World, server: str, fate: Fate, count: int) -> bool:
    world.network.troubles[server].extend([fate] * count)
    return True


def _lose_log(world: World) -> bool:
    if not world.broker.topics:
        return False
    world.truth.lose(range(len(world.broker.topics.get(MAILBOX, ()))))
    world.broker.topics.clear()
    return True


def _shard(world: World, rng: Random) -> Step | None:
    partitions = world.broker.topics.get(MAILBOX)
    return (rng.randrange(len(partitions)),) if partitions else None


def _trim_log(world: World, shard: int) -> bool:
    """The broker's retention deletes all that is in a partition, stored or not."""
    partitions = world.broker.topics.get(MAILBOX, [])
    if shard >= len(partitions):
        return False
    partition = partitions[shard]
    world.truth.lose([shard])
    partition.start = partition.end
    partition.records.clear()
    return True


def _push_drawn(_world: World, rng: Random) -> Step:
    return (rng.randint(1, 20),)


def _push_fails(world: World, count: int) -> bool:
    world.push_troubles += count
    return True


# --- operators ---


def _scale_drawn(_world: World, rng: Random) -> Step:
    return rng.choice(_SCALED), rng.randint(1, _MOST_ROLES)


def _scale(world: World, role: str, count: int) -> bool:
    world.operator.wish("scale", {role: count})
    return True


def _role(world: World, rng: Random) -> Step | None:
    found = [each.role for each in world.roles()]
    return (rng.choice(found),) if found else None


def _any_machine(world: World, rng: Random) -> Step:
    return (rng.choice([name for name, each in world.machines.machines.items() if each.known]),)


def _drain(world: World, what: str) -> bool:
    world.operator.wish("drain", what)
    return True


def _undrain(world: World, node: str) -> bool:
    world.operator.wish("undrain", node)
    return True


def _upgrade(world: World) -> bool:
    world.operator.wish("upgrade", True)  # noqa: FBT003 -- what the verb sends
    return True


def _grow_drawn(world: World, _rng: Random) -> Step | None:
    shards = len(world.database.logs)
    return (2 * shards,) if 0 < shards < _MOST_SHARDS else None


def _grow(world: World, shards: int) -> bool:
    if not 0 < len(world.database.logs) < shards <= _MOST_SHARDS:
        return False
    world.operator.wish("grow", shards)
    return True


KINDS = {
    "time": Kind(_nothing, _pass, 4, fault=False),
    "scale": Kind(_scale_drawn, _scale, 2, fault=False),
    "kill": Kind(_process, _kill, 4),
    "hang": Kind(_process, _hang, 2),
    "go-on": Kind(_frozen, _go_on, 3, fault=False),
    "kill-coordinator": Kind(_calls, _kill_coordinator, 4),
    "hang-coordinator": Kind(_nothing, _hang_coordinator, 1),
    "coordinator-goes-on": Kind(_nothing, _coordinator_goes_on, 1, fault=False),
    "cut": Kind(_machine, _cut, 2),
    "heal": Kind(_cut_one, _heal, 2, fault=False),
    "sever": Kind(_machine, _sever, 1),
    "crash": Kind(_machine, _crash, 1),
    "join": Kind(_join_drawn, _join, 1, fault=False),
    "head": Kind(_nothing, _head, 1),
    "away": Kind(_server, _away, 2),
    "back": Kind(_away_one, _back, 4, fault=False),
    "trouble": Kind(_trouble_drawn, _trouble, 5),
    "lose-log": Kind(_nothing, _lose_log, 1),
    "trim-log": Kind(_shard, _trim_log, 1),
    "push-fails": Kind(_push_drawn, _push_fails, 1),
    "drain-role": Kind(_role, _drain, 1),
    "drain": Kind(_any_machine, _drain, 1),
    "undrain": Kind(_any_machine, _undrain, 1, fault=False),
    "upgrade": Kind(_nothing, _upgrade, 0.5),
    "grow": Kind(_grow_drawn, _grow, 1),
}
