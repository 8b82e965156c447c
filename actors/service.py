"""The interface of a role to the process that runs it: start, take the map, report health, stop."""

import secrets
from importlib.metadata import version
from typing import Any, Final, Protocol

from msgspec import Struct

from storage.shard_map import ShardMap

INCARNATION: Final = secrets.token_hex(8)
"""Unique to this process: the next one of the same name has another."""

RELEASE: Final = version("roost")
"""What this process runs. Read once: it is on the disk, and every heartbeat says it."""

MAP_LEASE_S: Final = 1.25
"""A role that was not visited for so long may have missed a map, and that a log is gone.

No role writes to a new log before every role that answers has its base; who has not answered for
`cluster.silence_s`, which is longer, is not waited for. Two heartbeats are shorter: the coordinator looks at
a calm role as seldom.
"""

ASK_AGAIN_S: Final = 0.25
"""How long the store's word on the bases counts for a role that is not visited: no log is made as fast."""

Address = tuple[str, int]
"""IP address and TCP port."""


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

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map. Idempotent; returns soon and adapts in the background."""
        ...

    async def pause_writes(self) -> None:
        """Pause writes to the log; returns when none is in flight. Idempotent."""
        ...

    async def resume_writes(self) -> None:
        """Resume writes to the log. Called after `apply` when the log was recreated. Idempotent."""
        ...

    async def status(self) -> dict[str, Any]:
        """Return figures for ``roost status``: ``shards``, ``users``, ``lag`` and the like."""
        ...

    async def metrics(self) -> bytes:
        """Return this process's metrics in Prometheus text format."""
        ...

    async def stop(self) -> list[str]:
        """Finish what is in progress, bounded in time, and disconnect.

        Returns:
            What was given up, a sentence each without its subject, which is the role's name.
        """
        ...
