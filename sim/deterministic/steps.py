"""Everything that can happen in a world: how a step is drawn from the seed, and how it is performed.

A step is a tuple of its name and what it needs, nothing else. One that has lost its sense (a step
before it was left out) does nothing, so that any part of a run is a run.
Long, because each kind of step is here twice: drawn and performed.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Struct

from actors.rpc import questions as q
from sim.deterministic.gateways import Gateway
from sim.deterministic.hosts import Host
from sim.deterministic.routers import Router
from sim.deterministic.sweeps import EXPIRES_S
from sim.deterministic.turns import FATES, Fate
from sim.deterministic.world import GATEWAYS, HOSTS, ROUTERS, World

Step = tuple[Any, ...]

_MANY = 6
_SMOOTH = 0.9
_WAYS = ("stream", "stream", "stream", "background", "poll")
_MOST_DEVICES = 3
_DISAPPEARING = 0.2


class Kind(Struct, frozen=True):
    """A kind of step.

    Attributes:
        draw: Returns what a step of this kind needs, None if there is none to make now.
        act: Performs it; returns whether anything happened.
        weight: How often it is drawn, against the others.
        fault: It disturbs; a run has some of these kinds only.
    """

    draw: Callable[[World, Random], tuple[Any, ...] | None]
    act: Callable[..., bool | None]
    weight: int
    fault: bool = False


def _one(found: list[Any], rng: Random, *more: Any) -> tuple[Any, ...] | None:
    return (rng.choice(found), *more) if found else None


def _fate(rng: Random) -> Fate:
    return "done" if rng.random() < _SMOOTH else rng.choice(FATES)


def _count(rng: Random) -> int:
    return rng.choice((1, 1, 2, _MANY))


# --- people ---------------------------------------------------------------------------------------


def _draw_say(world: World, rng: Random) -> tuple[Any, ...] | None:
    device = rng.choice(list(world.phones))
    me = world.truth.owner[device]
    others = [user for user in world.store.users if user != me or world.has_other_devices(me, device)]
    if world.small and rng.random() < _DISAPPEARING:
        return device, rng.choice(others), EXPIRES_S
    return device, rng.choice(others)


def _say(world: World, device: str, peer: str, expires_s: int = 0) -> None:
    world.phones[device].say(peer, world.now_ms, expires_s)


def _draw_phone(world: World, rng: Random) -> tuple[Any, ...] | None:
    return (rng.choice(list(world.phones)),)


def _mark_read(world: World, device: str, peer: str) -> bool:
    return world.phones[device].mark_read(peer, world.now_ms)


def _draw_take(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one([name for name, phone in world.phones.items() if phone.queue], rng, _count(rng))


def _take(world: World, device: str, count: int) -> bool:
    return world.phones[device].take(count, world.now_ms)


def _flush(world: World, device: str) -> None:
    world.phones[device].flush()


def _draw_down(world: World, rng: Random) -> tuple[Any, ...] | None:
    waiting = [n for n, phone in world.phones.items() if phone.socket is not None and phone.socket.down]
    return _one(waiting, rng, _count(rng))


def _down(world: World, device: str, count: int) -> bool:
    return world.phones[device].read(count, world.now_ms)


def _draw_up(world: World, rng: Random) -> tuple[Any, ...] | None:
    waiting = [
        (device, index)
        for device, sockets in world.sockets.items()
        for index, socket in enumerate(sockets)
        if not socket.ended and (socket.up or socket.left)
    ]
    if not waiting:
        return None
    return (*rng.choice(waiting), _fate(rng))


def _up(world: World, device: str, index: int, fate: Fate) -> bool:
    sockets = world.sockets[device]
    return index < len(sockets) and sockets[index].read(fate)


def _draw_connect(world: World, rng: Random) -> tuple[Any, ...] | None:
    alone = [name for name, phone in world.phones.items() if phone.socket is None]
    return _one(alone, rng, rng.choice(GATEWAYS), rng.choice(_WAYS))


def _connect(world: World, device: str, gateway: str, way: str) -> bool:
    if world.phones[device].socket is not None:
        return False
    world.connect(device, gateway, way)
    return True


def _draw_check(world: World, rng: Random) -> tuple[Any, ...] | None:
    asking = [name for name, phone in world.phones.items() if phone.checks]
    return _one(asking, rng, rng.choice(GATEWAYS), _fate(rng))


def check(world: World, device: str, gateway: str, fate: Fate) -> bool:
    """Let a phone ask what became of a message; the answer, or none, comes when the host has said it."""
    phone = world.phones[device]
    if not phone.checks:
        return False
    question = phone.checks.pop(0)
    if fate == "refused":
        phone.unchecked(question, world.now_ms)
        return True
    session = phone.session

    def answered(answer: dict[str, Any] | None) -> None:
        if phone.session is session:
            phone.checked(question, answer, world.now_ms)

    def away() -> None:
        if phone.session is session:
            phone.unchecked(question, world.now_ms)

    world.gateways[gateway].message_state(world.principal(device), question.id, question.to, answered, away)
    return True


def _draw_pair(world: World, rng: Random) -> tuple[Any, ...] | None:
    return tuple(rng.sample(list(world.store.users), 2))


def _drop(world: World, device: str) -> bool:
    return world.phones[device].hang_up(world.now_ms)


def _kill(world: World, device: str) -> None:
    world.phones[device].kill(world.now_ms)


# --- roles ----------------------------------------------------------------------------------------


def _draw_net(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(world.links.busy(), rng, _count(rng))


def _net(world: World, direction: str, count: int) -> bool:
    return bool(world.links.deliver(direction, count))


def _draw_cut(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(list(world.links.names()), rng)


def _draw_turn(_: World, rng: Random) -> tuple[Any, ...]:
    return rng.choice(ROUTERS), _count(rng)


def _turn(world: World, router: str, limit: int) -> None:
    world.routers[router].turn(limit)
    world.reach_hosts(router)


def _draw_router(_: World, rng: Random) -> tuple[Any, ...]:
    return (rng.choice(ROUTERS),)


def _draw_gateway(_: World, rng: Random) -> tuple[Any, ...]:
    return (rng.choice(GATEWAYS),)


def _place(world: World, gateway: str) -> bool:
    reached = world.reach_hosts(gateway)
    return world.gateways[gateway].hosts.turn() or reached


def _draw_write(world: World, rng: Random) -> tuple[Any, ...] | None:
    due = [(name, kind) for name, host in world.hosts.items() for kind in host.writes()]
    return rng.choice(due) if due else None


def _write(world: World, host: str, kind: str) -> bool:
    return host in world.hosts and world.hosts[host].write(kind)


def _draw_task(world: World, rng: Random) -> tuple[Any, ...] | None:
    busy = [name for name, host in world.hosts.items() if host.tasks]
    return (rng.choice(busy), rng.randrange(8), _fate(rng)) if busy else None


def _task(world: World, host: str, index: int, fate: Fate) -> bool:
    return host in world.hosts and world.hosts[host].go_on(index, fate)


def _draw_map(world: World, rng: Random) -> tuple[Any, ...] | None:
    roles: dict[str, Host | Router | Gateway] = {**world.hosts, **world.routers, **world.gateways}
    late = [name for name, role in roles.items() if role.version < world.view.version]
    return _one([name for name in late if name not in world.deaf], rng)


def _draw_deaf(_: World, rng: Random) -> tuple[Any, ...]:
    return (rng.choice((*HOSTS, *HOSTS, *ROUTERS, *GATEWAYS)),)


def _deaf(world: World, name: str) -> None:
    world.deaf.add(name)


def _draw_hear(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(sorted(world.deaf), rng)


def _hear(world: World, name: str) -> None:
    world.deaf.discard(name)


def _draw_tick(_: World, rng: Random) -> tuple[Any, ...]:
    return (rng.choice((1, 50, 1000, 20_000, 70_000)),)


def tick(world: World, ms: int) -> None:
    """Let time pass everywhere."""
    world.now_ms += ms
    for device, phone in world.phones.items():
        if phone.socket is not None:
            world.truth.sweeps.stayed(device, world.now_ms)
        phone.tick(world.now_ms)
    for gateway in world.gateways.values():
        gateway.hosts.tick()
    for host in world.hosts.values():
        host.tick()


def _draw_sweep(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(world.sweepable(), rng)


def sweep(world: World, where: tuple[str, str]) -> bool:
    """Let a host look through a mailbox."""
    host, user = where
    going_on = world.truth.sweeps.going_on(user, world.now_ms)
    return host in world.hosts and world.hosts[host].sweep(user, going_on)


def _draw_expiry(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(list(world.hosts), rng) if world.small else None


def empty_expired(world: World, host: str) -> bool:
    """Let a host remove the content of what has disappeared."""
    if host not in world.hosts:
        return False
    world.hosts[host].empty_expired()
    return True


def _draw_crash(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(list(world.hosts), rng, rng.choice((0, 0, 1, 3)))


def _crash(world: World, host: str, landing: int) -> bool:
    if host not in world.hosts:
        return False
    world.stop_host(host, landing)
    return True


def _draw_start(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one([name for name in HOSTS if name not in world.hosts], rng)


def _start(world: World, host: str) -> bool:
    if host in world.hosts:
        return False
    world.start_host(host)
    world.show()
    return True


def _draw_shard(world: World, rng: Random) -> tuple[Any, ...]:
    return (rng.randrange(len(world.log.shards)),)


def _swap(names: tuple[str, ...], other: tuple[str, ...], shard: int) -> tuple[str, ...]:
    changed = list(names)
    changed[shard] = other[1 - other.index(names[shard])]
    return tuple(changed)


def _move(world: World, shard: int) -> None:
    world.show(hosts=_swap(world.view.hosts, HOSTS, shard))


def _reroute(world: World, shard: int) -> None:
    world.show(routers=_swap(world.view.routers, ROUTERS, shard))


def _draw_remake(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one([shard for shard, records in enumerate(world.log.shards) if records is None], rng)


def remake(world: World, shard: int) -> bool:
    """Recreate a lost log, once hosts have stored what they have of it."""
    if world.log.shards[shard] is not None or world.is_owed(shard):
        return False
    world.remake_log(shard)
    return True


def _lose(world: World, shard: int) -> bool:
    if world.log.shards[shard] is None:
        return False
    world.lose_log(shard)
    return True


def _draw_passivate(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one([(name, user) for name, host in world.hosts.items() for user in host.users], rng)


def _passivate(world: World, who: tuple[str, str]) -> bool:
    return who[0] in world.hosts and world.hosts[who[0]].passivate(who[1])


def _draw_ghost(world: World, rng: Random) -> tuple[Any, ...] | None:
    return (rng.randrange(4),) if world.ghosts else None


def ghost(world: World, index: int) -> bool:
    """Let a write that a dead host had in flight reach its store."""
    if not world.ghosts:
        return False
    task = world.ghosts.pop(index % len(world.ghosts))
    task.go_on("lost")
    task.drop()
    return True


def _draw_block(world: World, rng: Random) -> tuple[Any, ...] | None:
    return (*rng.sample(list(world.store.users), 2), rng.random() < 0.5, rng.choice(GATEWAYS))  # noqa: PLR2004


def _block(world: World, user: str, peer: str, blocked: bool, gateway: str) -> None:  # noqa: FBT001 -- a step's part
    world.unsure[user] += 1

    def replied(answer: q.Answer | None) -> None:
        world.unsure[user] -= answer is not None

    world.gateways[gateway].change(user, lambda call: q.SetBlock(call, user, peer, peer, blocked), replied)


def _draw_refresh(world: World, rng: Random) -> tuple[Any, ...] | None:
    return (rng.choice(GATEWAYS),) if world.refreshes else None


def _draw_device(world: World, rng: Random) -> tuple[Any, ...] | None:
    few = [user for user, devices in world.store.devices.items() if len(devices) < _MOST_DEVICES]
    return _one(few, rng, rng.choice(GATEWAYS))


def _device(world: World, user: str, gateway: str) -> None:
    world.new_device(user, gateway)


def _draw_sign_in(world: World, rng: Random) -> tuple[Any, ...] | None:
    few = [user for user, devices in world.store.devices.items() if len(devices) < _MOST_DEVICES]
    return _one(few, rng)


def _draw_keys(world: World, rng: Random) -> tuple[Any, ...] | None:
    return _one(world.keyless(), rng, rng.choice(GATEWAYS))


KINDS: dict[str, Kind] = {
    "say": Kind(_draw_say, _say, 8),
    "take": Kind(_draw_take, _take, 8),
    "flush": Kind(_draw_phone, _flush, 10),
    "down": Kind(_draw_down, _down, 10),
    "up": Kind(_draw_up, _up, 10),
    "connect": Kind(_draw_connect, _connect, 6),
    "check": Kind(_draw_check, check, 3),
    "net": Kind(_draw_net, _net, 24),
    "turn": Kind(_draw_turn, _turn, 8),
    "commit": Kind(_draw_router, lambda world, router: world.routers[router].commit(), 2),
    "place": Kind(_draw_gateway, _place, 3),
    "write": Kind(_draw_write, _write, 10),
    "task": Kind(_draw_task, _task, 30),
    "map": Kind(_draw_map, World.apply_view, 6),
    "tick": Kind(_draw_tick, tick, 3),
    "start": Kind(_draw_start, _start, 3),
    "remake": Kind(_draw_remake, remake, 3),
    "read": Kind(_draw_pair, lambda world, user, peer: _mark_read(world, world.first_device(user), peer), 2),
    "drop": Kind(_draw_phone, _drop, 2, fault=True),
    "kill": Kind(_draw_phone, _kill, 2, fault=True),
    "crash": Kind(_draw_crash, _crash, 1, fault=True),
    "ghost": Kind(_draw_ghost, ghost, 2),
    "move": Kind(_draw_shard, _move, 1, fault=True),
    "reroute": Kind(_draw_shard, _reroute, 1, fault=True),
    "router": Kind(_draw_router, lambda world, name: world.restart_router(name), 1, fault=True),
    "gateway": Kind(_draw_gateway, lambda world, name: world.restart_gateway(name), 1, fault=True),
    "cut": Kind(_draw_cut, lambda world, direction: world.links.cut(direction), 1, fault=True),
    "lose": Kind(_draw_shard, _lose, 1, fault=True),
    "forget": Kind(lambda _w, _r: (), lambda world: world.cache.flush(), 1, fault=True),
    "passivate": Kind(_draw_passivate, _passivate, 4, fault=True),
    "refresh": Kind(_draw_refresh, World.refresh, 6),
    "device": Kind(_draw_device, _device, 1, fault=True),
    "block": Kind(_draw_block, _block, 1, fault=True),
    "deaf": Kind(_draw_deaf, _deaf, 1, fault=True),
    "hear": Kind(_draw_hear, _hear, 1),
    "sign_in": Kind(_draw_sign_in, World.sign_in, 1, fault=True),
    "sweep": Kind(_draw_sweep, sweep, 6),
    "expire": Kind(_draw_expiry, empty_expired, 2),
    "keys": Kind(_draw_keys, World.upload_keys, 2),
    "token": Kind(_draw_phone, World.register_token, 1, fault=True),
}
"""Every kind of step, by name."""

_ON_PHONES = frozenset({"say", "take", "flush", "down", "up", "connect", "check", "drop", "kill", "token"})


def perform(world: World, step: Step) -> bool:
    """Perform a step; returns whether anything happened."""
    if len(step) > 1 and step[0] in _ON_PHONES and step[1] not in world.phones:
        return False  # the step that made this phone was left out
    done = KINDS[step[0]].act(world, *step[1:])
    return done is not False
