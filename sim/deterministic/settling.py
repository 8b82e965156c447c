"""The end of a run, when it comes to rest: no more faults, everything in flight arrives, time passes."""

from typing import cast

from sim.deterministic.facts import Violation
from sim.deterministic.links import End
from sim.deterministic.rest import unread
from sim.deterministic.steps import check, empty_expired, ghost, remake, sweep, tick
from sim.deterministic.world import GATEWAYS, HOSTS, World

_ROUNDS = 300
_SMALL_ROUNDS = 3_000
"""Where a mailbox holds four messages, a queue of forty takes half an hour of the world's time."""
_AT_REST = 2
_SWEPT_ROUNDS = 20
"""Sweeps go on for so long; the last rounds show what is left to rest."""


def settle(world: World) -> None:
    """Bring the world to rest.

    Raises:
        Violation: It does not come to rest, or something breaks on the way.
    """
    mend(world)
    if world.small:
        tick(world, 20_000)
        for where in world.sweepable():
            sweep(world, where)
    quiet, rounds = 0, _SMALL_ROUNDS if world.small else _ROUNDS
    for number in range(rounds):
        moved = _round(world)
        done = not moved and not _open(world)
        quiet = quiet + 1 if done else 0
        if quiet >= _AT_REST:
            return
        if not moved:
            for where in world.sweepable() if number < _SWEPT_ROUNDS else ():
                sweep(world, where)
            # Who was refused a full mailbox comes back after a minute, for a few messages each time.
            long = number % 8 == 7 or (world.small and number > _SWEPT_ROUNDS)  # noqa: PLR2004
            tick(world, 20_000 if long else 1_000)
    raise Violation(
        "unrest", f"after {rounds} rounds without faults: {_open(world) or 'always something moves'}"
    )


def mend(world: World) -> None:
    """End all faults: what is away comes back, and everyone hears of it."""
    world.deaf.clear()
    while world.ghosts:
        ghost(world, 0)
    for shard in range(len(world.log.shards)):
        for _ in range(_ROUNDS):
            if world.log.shards[shard] is not None or remake(world, shard):
                break
            _hosts(world)
    for device in world.keyless():
        world.upload_keys(device, GATEWAYS[0])
    for name in HOSTS:
        if name not in world.hosts:
            world.start_host(name)
    world.show()


def _round(world: World) -> bool:
    moved = move_roles(world)
    if (
        world.store.expiring
        and min(each.expires_at_ms for each in world.store.expiring.values()) <= world.now_ms
    ):
        empty_expired(world, HOSTS[0])
        empty_expired(world, HOSTS[1])
    for device, phone in world.phones.items():
        if phone.socket is None:
            world.connect(device, GATEWAYS[0])
        for socket in list(world.sockets[device]):
            while socket.read("done"):
                moved = True
        moved = phone.read(1000, world.now_ms) or moved
        if phone.queue:
            moved = phone.take(1000, world.now_ms)
        phone.flush()
        while check(world, device, GATEWAYS[0], "done"):
            # Of what was swept unread phones ask for days; what else an answer changes shows in the outbox.
            moved = moved or not world.small
    return moved


def move_roles(world: World) -> bool:
    """Let everything that roles have in flight arrive; returns whether anything did."""
    moved = False
    for name in (*world.hosts, *world.routers, *world.gateways):
        moved = world.apply_view(name) or moved
    for name in (*world.routers, *world.gateways):
        moved = world.reach_hosts(name) or moved
    for gateway in world.gateways.values():
        moved = gateway.hosts.turn() or moved
    for router in world.routers.values():
        router.turn(15)  # two shards stay below the count that a router rests after
        router.commit()
    moved = world.refresh(GATEWAYS[0]) or moved
    for direction in world.links.busy():
        moved = bool(world.links.deliver(direction, 1000)) or moved
    return _hosts(world) or moved


def _hosts(world: World) -> bool:
    moved = False
    for host in world.hosts.values():
        for kind in host.writes():
            host.write(kind)
        for task in list(host.tasks):
            if not task.over:
                moved = host.go_on(host.tasks.index(task), "done") or moved
    return moved


def _strays(world: World) -> list[str]:
    """Return the streams that a host serves and no gateway has, and who does not know what is stored."""
    found: list[str] = []
    for name, host in world.hosts.items():
        for key in host.streams():
            gateway = world.gateways[key.link.name].hosts
            if not gateway.serves(key.stream, cast("End", key.link).other):
                found.append(f"{name} serves stream {key.stream} of {key.link.name}, where it is not")
        for user, actor in host.actors():
            if not world.unsure[user] and actor.peers.blocks != world.store.blocks.get(user, {}):
                found.append(f"{name} does not know whom {user} blocks")
            if strays := actor.mailbox.streams.keys() - host.numbers(user):
                found.append(f"{user} at {name} serves the streams {strays}, which are closed")
    return found


def _open(world: World) -> list[str]:
    """Return what is not done yet."""
    found = [f"{user} is to be read again" for user, _ in world.refreshes.values()]
    found += [f"{name} has work" for name, host in world.hosts.items() if not host.at_rest]
    found += [f"{name} is behind" for name, router in world.routers.items() if router.behind]
    for device, phone in world.phones.items():
        if not phone.session.open or phone.queue:
            found.append(f"{device} is not in sync")
        waiting = [
            item.id
            for item in phone.session.state.outbox.values()
            if item.seq is None or world.truth.is_open(item.id)
        ]
        if waiting:
            found.append(f"{device} still keeps {waiting}")
    return found or unread(world.truth) or _strays(world)
