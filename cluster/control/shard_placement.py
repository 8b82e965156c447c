"""Placement of shards on roles: balanced, stable, the same wherever it is computed. Pure.

Every member has either the floor or the ceiling of shards / members, and a shard leaves a living member
only where that demands it. Shards that are free are dealt one by one to the members that have room, in the
order of their names: since a user's shard is a hash already, no further hash is needed to spread the load.
Roles of the same count get the same shards this way, so that a router's batch goes to few hosts. A decision
takes time in proportion to shards and members, not to their product.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_ODD: Final = 0x9E3779B1
"""2^32 divided by the golden ratio: multiples of it are well mixed. Source: Knuth, TAOCP vol. 3, 6.4."""

_MASK: Final = 0xFFFFFFFF

SILENT_S: Final = 1.5
"""A router that has heard nothing of the log for so long is cut off from it, if another one is not."""

STEADY_S: Final = 1.5
"""How long another one must have heard of it: after an outage of the log not all find it back at once."""


def place(current: Sequence[str], members: Sequence[str]) -> tuple[str, ...]:
    """Return the owner of each shard.

    Args:
        current: The owner of each shard so far, '' where there is none; its length is the number of shards.
        members: Who may own shards. If there are none, the owners stay what they are.
    """
    living = sorted(set(members), key=_by_number)
    if not living:
        return tuple(current)
    quota = _quotas(current, living)
    owners = _keep(current, quota)
    held = Counter(owners)
    room = {member: quota[member] - held[member] for member in living}
    free = (shard for shard, owner in enumerate(owners) if not owner)
    for shard, member in zip(list(free), _dealt(room), strict=True):
        owners[shard] = member
    return tuple(owners)


def stretched(owners: Sequence[str], shards: int) -> tuple[str, ...]:
    """Return the owners of more shards: a new one begins with the owner of the one its users come from."""
    return tuple(owners[shard % len(owners)] for shard in range(shards)) if owners else ("",) * shards


def moves(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many shards have another owner."""
    return sum(old != new for old, new in zip(before, after, strict=True))


def reaching(routers: Sequence[str], contact: Mapping[str, tuple[float, float]]) -> list[str]:
    """Leave out the routers that the log does not answer while it answers others.

    Args:
        routers: Who could have shards.
        contact: For how many seconds the log has been silent to each, and for how many it has answered.

    Returns:
        All of them if the log answers no one steadily: then giving their shards to others does not help.
    """
    reach = {name: contact.get(name, (0.0, 0.0)) for name in routers}
    if not any(silent < SILENT_S and answering >= STEADY_S for silent, answering in reach.values()):
        return list(routers)
    return [name for name, (silent, _) in reach.items() if silent < SILENT_S]


def _by_number(member: str) -> tuple[int, str]:
    """Put ``host-10`` behind ``host-9``."""
    return len(member), member


def _quotas(current: Sequence[str], living: Sequence[str]) -> dict[str, int]:
    """Return how many shards each may own: who has most already gets the ceiling."""
    least, more = divmod(len(current), len(living))
    held = Counter(current)
    by_load = sorted(living, key=lambda member: -held[member])
    return {member: least + (rank < more) for rank, member in enumerate(by_load)}


def _keep(current: Sequence[str], quota: dict[str, int]) -> list[str]:
    """Leave shards where they are, up to each member's quota; '' where they must go."""
    owners = [owner if owner in quota else "" for owner in current]
    held = Counter(owners)
    over = {member: list[int]() for member, limit in quota.items() if held[member] > limit}
    if over:
        for shard, owner in enumerate(owners):
            if owner in over:
                over[owner].append(shard)
    for member, shards in over.items():
        shards.sort(key=lambda shard: _turn(shard, len(quota)))
        for shard in shards[quota[member] :]:
            owners[shard] = ""
    return owners


def _turn(shard: int, members: int) -> int:
    """Return what decides which shards leave first: another order each time, the same for every role."""
    return shard * _ODD * (2 * members + 1) & _MASK


def _dealt(room: dict[str, int]) -> Iterator[str]:
    """Yield each member as often as it has room: one each, then again for those who have more."""
    waiting = [member for member, more in room.items() if more > 0]
    while waiting:
        yield from waiting
        for member in waiting:
            room[member] -= 1
        waiting = [member for member in waiting if room[member] > 0]
