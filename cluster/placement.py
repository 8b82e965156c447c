"""Who serves which shard: balanced, stable, the same for everybody who computes it. Pure.

Rendezvous hashing chooses, bounded loads keep the balance: every member has either the floor or
the ceiling of shards / members. A shard leaves a living member only where balance demands it.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence


def place(current: Sequence[str], members: Sequence[str]) -> tuple[str, ...]:
    """Return the owner of each shard.

    Args:
        current: The owner of each shard so far, '' where there is none; its length is the number of shards.
        members: Who may own shards. If there is nobody, the owners stay what they are.
    """
    living = sorted(set(members))
    if not living:
        return tuple(current)
    quota = _quotas(current, living)
    owners = _keep(current, quota)
    free = Counter(quota)
    free.subtract(owner for owner in owners if owner)
    for shard, owner in enumerate(owners):
        if not owner:
            owners[shard] = max((m for m in living if free[m] > 0), key=lambda m, s=shard: _score(s, m))  # type: ignore[misc]
            free[owners[shard]] -= 1
    return tuple(owners)


def moves(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many shards have another owner."""
    return sum(old != new for old, new in zip(before, after, strict=True))


def _quotas(current: Sequence[str], living: Sequence[str]) -> dict[str, int]:
    """Return how many shards each may own: who has most already gets the ceiling."""
    least, more = divmod(len(current), len(living))
    held = Counter(current)
    by_load = sorted(living, key=lambda member: (-held[member], member))
    return {member: least + (rank < more) for rank, member in enumerate(by_load)}


def _keep(current: Sequence[str], quota: dict[str, int]) -> list[str]:
    """Leave shards where they are, up to each member's quota; '' where they must go."""
    owners = [owner if owner in quota else "" for owner in current]
    for member, limit in quota.items():
        held = sorted(
            (s for s, owner in enumerate(owners) if owner == member), key=lambda s: -_score(s, member)
        )
        for shard in held[limit:]:
            owners[shard] = ""
    return owners


def _score(shard: int, member: str) -> int:
    digest = hashlib.blake2b(f"{shard}|{member}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
