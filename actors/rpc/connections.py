"""The links of one role to all hosts of the map: each is made at once, and again whenever it breaks.

A link is to one incarnation of a host. When the map names another one, or none, the link is closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, Protocol

import structlog

from actors.rpc.handshake import LinkSecret
from actors.rpc.link import Link, connect
from actors.rpc.messages import decode_from_host
from actors.service import Address
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks, backoff, insist
from storage.shard_map import ShardMap

_LONGEST_PAUSE_S: Final = 1.0

log = structlog.get_logger()


class Received(Protocol):
    """Takes the messages of one frame."""

    def __call__(self, link: Link, messages: list[Any]) -> None:
        """One frame arrived."""
        ...


class Owner(Protocol):
    """The role whose links these are."""

    def linked(self, host: str, link: Link) -> None:
        """There is a link to a host, which knows nothing of us yet."""
        ...

    def received(self, link: Link, messages: list[Any]) -> None:
        """One frame arrived."""
        ...

    def unlinked(self, host: str, link: Link) -> None:
        """The link is gone, and no longer among `Connections.links`."""
        ...


class Connections:
    """Connects to each host on its own, so that one that hangs delays no other.

    See `actors.rpc.link.Handler`.

    Args:
        me: Role and name to introduce ourselves with.
        secret: The cluster's.
        connect: Makes a link.

    Attributes:
        shard_map: The newest map, None before the first.
        links: The links that stand, by the name of their host.
        received: Called with each frame; the owner's own, since it is called for every one.
    """

    received: Received

    def __init__(
        self, me: tuple[str, str], secret: LinkSecret, connect: Callable[..., Awaitable[Link]] = connect
    ) -> None:
        self.shard_map: ShardMap | None = None
        self.links: dict[str, Link] = {}
        self._me, self._secret, self._connect_to = me, secret, connect
        self._owner: Owner
        self._hosts: dict[str, tuple[Address, str]] = {}
        self._names: dict[Link, str] = {}
        self._dialing: dict[str, asyncio.Task[None]] = {}
        self._tasks = BackgroundTasks()

    def report_to(self, owner: Owner) -> None:
        """Set the owner, before the first map."""
        self._owner, self.received = owner, owner.received

    def apply(self, shard_map: ShardMap) -> None:
        """Take a map: part from incarnations that are over, connect to new ones."""
        self.shard_map = shard_map
        hosts = {name: (at, shard_map.incarnations.get(name, "")) for name, at in shard_map.addresses.items()}
        for name in [name for name, known in self._hosts.items() if hosts.get(name) != known]:
            self._drop(name)
        for name in [name for name in hosts if name not in self._hosts]:
            self._hosts[name] = hosts[name]
            self._dial(name)

    def link_for(self, user: str) -> Link | None:
        """Return the link to the host that serves the user, None if there is none."""
        return None if self.shard_map is None else self.links.get(self.shard_map.host_of(user))

    def name_of(self, link: Link) -> str:
        """Return the host's name, '' if the link is gone."""
        return self._names.get(link, "")

    async def close(self) -> None:
        """Disconnect from all hosts."""
        for name in list(self._hosts):
            self._drop(name)
        await self._tasks.cancel()

    # --- actors.rpc.link.Handler ---

    def opened(self, link: Link) -> None:
        """Wait for `reached`, which knows which host this is."""

    def closed(self, link: Link) -> None:
        """Tell the owner, and connect again."""
        name = self._names.pop(link, None)
        if name is None:
            return  # we closed it, or it broke before it was reached
        del self.links[name]
        log.warning("host_lost", host=name)
        self._owner.unlinked(name, link)
        if name in self._hosts:
            self._dial(name)

    # --- connecting ---

    def reached(self, name: str, link: Link) -> None:
        """Take a link to a host."""
        self.links[name], self._names[link] = link, name
        log.info("host_linked", host=name, address=self._hosts[name][0])
        self._owner.linked(name, link)

    def _dial(self, name: str) -> None:
        reaching = self._reach(name, self._hosts[name][0])
        self._dialing[name] = self._tasks.spawn(reaching, f"dial {name}", essential=True)

    async def _reach(self, name: str, address: Address) -> None:
        call = partial(self._connect, name, address)
        self.reached(name, await insist(call, "host_away", pauses=backoff(longest_s=_LONGEST_PAUSE_S)))

    async def _connect(self, name: str, address: Address) -> Link:
        try:
            link = await self._connect_to(address, self, decode_from_host, secret=self._secret, me=self._me)
        except (OSError, TimeoutError) as exc:
            raise Unavailable(f"{name} at {address} does not answer: {exc or 'it hangs'}") from exc
        if not link.alive:
            raise Unavailable(f"{name} at {address} closed the link at once.")
        return link

    def _drop(self, name: str) -> None:
        """Count the link as closed at once: a host that hangs never reads what waits for it."""
        del self._hosts[name]
        if (task := self._dialing.pop(name, None)) is not None:
            task.cancel()
        if (link := self.links.get(name)) is not None:
            link.close()
            self.closed(link)
