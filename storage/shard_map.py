"""The map: which host, router and pusher serve each shard."""

from collections.abc import Sequence

from msgspec import Struct

from roost.ids import shard_of


class ShardMap(Struct, frozen=True):
    """Who serves what: the coordinator's map, which every role gets whole whenever any of it changes.

    Index is the shard, value the name of the host, router or pusher. MongoDB has it without ``bases`` and
    ``pushes``, which are each shard's `storage.cluster_rows.LogState` there.

    Attributes:
        version: Rises by one with every change; an older map is ignored.
        hosts: Name of the host of each shard.
        routers: Name of the router that reads each shard of ``mailbox``.
        pushers: Name of the pusher that reads each shard of ``push``.
        bases: Base of each shard: seq = base + offset.
        addresses: IP address and port where each living host listens for links, by name.
        incarnations: The incarnation of every role that is to be there, by name: another value means that it
            restarted; '' before its first answer.
        records: The newest version of records that every role reads (`storage.records.VERSION`).
        pushes: Identifies the log of each shard's wake-ups: another value means that they started over.
        since: Version of the map that gave each shard to the host that has it. Another value means that it
            was elsewhere meanwhile: what its host has of it in memory is out of date.
    """

    version: int
    hosts: tuple[str, ...]
    routers: tuple[str, ...]
    pushers: tuple[str, ...]
    bases: tuple[int, ...] = ()
    addresses: dict[str, tuple[str, int]] = {}
    incarnations: dict[str, str] = {}
    records: int = 1
    pushes: tuple[int, ...] = ()
    since: tuple[int, ...] = ()

    def since_with(self, hosts: Sequence[str], version: int) -> tuple[int, ...]:
        """Return ``since`` of a later map with these hosts; 0 where a map did not say it yet."""
        before = dict(enumerate(self.hosts))
        known = dict(enumerate(self.since))
        return tuple(
            known.get(shard, 0) if before.get(shard) == host else version for shard, host in enumerate(hosts)
        )

    def host_of(self, user: str) -> str:
        """Return the name of the host that serves the user."""
        return self.hosts[shard_of(user, self.shards)]

    def serving(self, user: str) -> tuple[int, str, int, str]:
        """Return what changes whenever a host has to load the user again.

        Returns:
            How many shards there are, the host of the user's, since when, and its incarnation.
        """
        shard = shard_of(user, self.shards)
        host, since = self.hosts[shard], self.since[shard] if shard < len(self.since) else 0
        return self.shards, host, since, self.incarnations.get(host, "")

    def since_of(self, host: str) -> dict[int, int]:
        """Return since when the host has its shards, as far as that is known."""
        known = enumerate(zip(self.hosts, self.since, strict=False))
        return {shard: since for shard, (owner, since) in known if owner == host}

    def recreated(self, before: "ShardMap | None") -> dict[str, list[int]]:
        """Return, by topic, the shards whose log started over since an earlier map."""
        if before is None:
            return {}
        return {
            "mailbox": _changed(before.bases, self.bases),
            "push": _changed(before.pushes, self.pushes),
        }

    def renumbered(self, before: "ShardMap | None") -> bool:
        """Return whether there are more shards than in an earlier map: then a user's may be another one."""
        return before is not None and self.shards != before.shards

    @property
    def gateways(self) -> int:
        """Number of gateways that there are, or are about to be."""
        return sum(name.startswith("gateway") for name in self.incarnations)

    @property
    def shards(self) -> int:
        """Number of shards, which is also the number of partitions."""
        return len(self.hosts)


def _changed(before: tuple[int, ...], now: tuple[int, ...]) -> list[int]:
    pairs = zip(before, now, strict=False)  # there may be more shards than before
    return [shard for shard, (old, new) in enumerate(pairs) if old != new]
