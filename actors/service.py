"""What every role is to the one who runs it: started, shown the map, asked how it is, stopped."""

import secrets
from typing import Any, Final, Protocol

from msgspec import Struct

from roost.ids import shard_of

INCARNATION: Final = secrets.token_hex(8)
"""This life of the process: another one of the same name has another."""

MAP_LEASE_S: Final = 1.25
"""A role that was not visited for so long may have missed a map, and that a log is gone.

Nobody writes to a new log before every role that answers has its base; who has not answered for
`cluster.silence_s`, which is longer, is not waited for. Two heartbeats are shorter: the coordinator looks at
a calm role as seldom.
"""

ASK_AGAIN_S: Final = 0.25
"""How long the store's word on the bases counts for a role that nobody visits: no log is made as fast."""

Address = tuple[str, int]
"""IP address and TCP port."""


class ClusterView(Struct, frozen=True):
    """The coordinator's map as every role gets it, whole, whenever any of it changes.

    Attributes:
        version: Rises with every change; an older view is ignored.
        hosts: Name of the host of each shard.
        routers: Name of the router that reads each shard of ``mailbox``.
        pushers: Name of the pusher that reads each shard of ``push``.
        bases: Base of each shard: seq = base + offset.
        addresses: Where each living host listens for links, by name.
        incarnations: The life of every role that is to be there, by name: another value means that it
            restarted; '' before its first answer.
        records: The newest version of records that every role reads (``storage.records.VERSION``).
        pushes: The life of each shard's wake-ups: another value means that they began anew.
        since: Version of the map that gave each shard to the host that has it. Another value means that it
            was elsewhere meanwhile: what its host has of it in memory is out of date.
    """

    version: int
    hosts: tuple[str, ...]
    routers: tuple[str, ...]
    pushers: tuple[str, ...]
    bases: tuple[int, ...]
    addresses: dict[str, Address]
    incarnations: dict[str, str]
    records: int = 1
    pushes: tuple[int, ...] = ()
    since: tuple[int, ...] = ()

    def host_of(self, user: str) -> str:
        """Return the name of the host that serves the user."""
        return self.hosts[shard_of(user, self.shards)]

    def since_of(self, host: str) -> dict[int, int]:
        """Return since when the host has its shards, as far as that is known."""
        known = enumerate(zip(self.hosts, self.since, strict=False))
        return {shard: since for shard, (owner, since) in known if owner == host}

    def begun_anew(self, before: "ClusterView | None") -> dict[str, list[int]]:
        """Return, by topic, the shards whose log began anew since an earlier map."""
        if before is None:
            return {}
        return {
            "mailbox": _changed(before.bases, self.bases),
            "push": _changed(before.pushes, self.pushes),
        }

    def renumbered(self, before: "ClusterView | None") -> bool:
        """Say whether there are more shards than in an earlier map: then each user's may be another one."""
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


class Node(Struct, frozen=True):
    """A machine of the cluster.

    Attributes:
        id: Ray's name of it; another one whenever it joins.
        address: IP address.
        hostname: Its own name.
        cpus: What it offers to Ray, in cores; 0 if nothing.
        head: Ray's head is there.
    """

    id: str
    address: str
    hostname: str = ""
    cpus: float = 0.0
    head: bool = False


class Alive(Struct, frozen=True):
    """A role's answer to "are you there?".

    Attributes:
        incarnation: `INCARNATION` of its process.
        pid: Process id.
        node: Address of the machine.
        node_id: Ray's name of the machine.
        address: Where it listens for links, None if it does not.
        release: Version of Roost that the process runs.
        records: Version of the records that it reads.
    """

    incarnation: str
    pid: int
    node: str
    node_id: str
    address: Address | None
    release: str = ""
    records: int = 1


class Service(Protocol):
    """A role inside its process. Built by the function that ``roost.roles`` names."""

    async def start(self) -> Address | None:
        """Connect to what it needs and begin; returns where it listens for links."""
        ...

    async def apply(self, view: ClusterView) -> None:
        """Take the newest map. Idempotent; returns soon and adapts in the background."""
        ...

    async def hold(self) -> None:
        """Hold back writes to the log and return when none is in flight. Idempotent."""
        ...

    async def release(self) -> None:
        """Let writes go on. Called after `apply` when the log was recreated. Idempotent."""
        ...

    async def status(self) -> dict[str, Any]:
        """Return figures for ``roost status``: ``shards``, ``users``, ``lag`` and the like."""
        ...

    async def metrics(self) -> bytes:
        """Return this process's metrics in Prometheus text format."""
        ...

    async def stop(self) -> list[str]:
        """Finish what is under way, bounded in time, and disconnect.

        Returns:
            What was given up, a sentence each without its subject, which is the role's name.
        """
        ...
