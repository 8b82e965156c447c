"""The links of a gateway to the hosts: streams and questions follow the map, frames find their receivers.

Nothing here lasts: what a host has to know is said over each new link.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from actors.rpc import messages as m
from actors.rpc import questions as q
from actors.rpc.connections import Connections
from actors.rpc.link import Link
from api.host_links.attachments import Attachments
from api.host_links.questions import ANSWER_S, Questions
from roost.errors import Unavailable
from storage.ports import ClusterState
from storage.shard_map import ShardMap

_PLACE_AGAIN_S: Final = 0.2


class HostLinks:
    """All links of a gateway. See `actors.rpc.connections.Owner`.

    Args:
        connections: To the hosts of the map.
        cluster: Where the newest map is.
        questions: Asked over these connections; made here if not given.

    Attributes:
        attachments: The streams.
        questions: What is asked.
    """

    def __init__(
        self, connections: Connections, cluster: ClusterState, questions: Questions | None = None
    ) -> None:
        self.attachments = Attachments(connections)
        self.questions = questions or Questions(connections)
        self._connections, self._cluster = connections, cluster
        self._again: asyncio.TimerHandle | None = None
        self._presence: Callable[[m.PresenceTo], None] = lambda _: None
        self._linked: Callable[[str], None] = lambda _: None
        self._backlogs: Callable[[str, m.Backlogs], None] = lambda *_: None
        self._room: Callable[[m.Room], None] = lambda _: None
        self._handlers: dict[type, Callable[[Link, Any], None]] = {
            m.Deliver: self.attachments.delivered,
            q.Reply: self.questions.answered,
            m.Attached: self.attachments.attached,
            m.Drained: self.attachments.drained,
            m.Missed: self.attachments.missed,
            m.Close: self.attachments.ended,
            m.TypingTo: self.attachments.typing,
            m.PresenceTo: lambda _, message: self._presence(message),
            m.Backlogs: lambda link, message: self._backlogs(connections.name_of(link), message),
            m.Room: lambda _, message: self._room(message),
            m.NotMine: self._not_mine,
        }
        connections.report_to(self)

    def on_presence(self, presence: Callable[[m.PresenceTo], None], linked: Callable[[str], None]) -> None:
        """Set who takes presence, and who is told that a host's link is new (it knows no watchers)."""
        self._presence, self._linked = presence, linked

    def on_backlogs(self, heard: Callable[[str, m.Backlogs], None]) -> None:
        """Set who is told how far hosts, by name, are."""
        self._backlogs = heard

    def on_room(self, heard: Callable[[m.Room], None]) -> None:
        """Set who is told that not every sender may write to a user, or that all may again."""
        self._room = heard

    # --- the map ---

    @property
    def shard_map(self) -> ShardMap | None:
        """The newest map, None before the first."""
        return self._connections.shard_map

    def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map: connect to hosts that are new, move streams of moved shards."""
        if self.shard_map is not None and shard_map.version < self.shard_map.version:
            return
        if shard_map.renumbered(self.shard_map):  # a user's shard may be another one
            self.questions.redirect()
            self.attachments.detach_all()
            self._place_soon()
        self._connections.apply(shard_map)
        for name, link in self._connections.links.items():
            self._tell_since(name, link)
        self.attachments.place()

    def host_of(self, user: str) -> str:
        """Return the name of the host that serves the user, '' before the first map."""
        return "" if self.shard_map is None else self.shard_map.host_of(user)

    def linked_hosts(self) -> tuple[int, int]:
        """Return how many hosts are linked, and how many there are."""
        return len(self._connections.links), len(self.shard_map.addresses) if self.shard_map else 0

    # --- what the gateway says ---

    async def ask(self, user: str, question: q.Question, timeout_s: float = ANSWER_S) -> q.Answer:
        """Ask the user's host; see `Questions.ask`."""
        return await self.questions.ask(user, question, timeout_s)

    async def change(self, user: str, question: q.Question, timeout_s: float = ANSWER_S) -> None:
        """Ask the user's host to take a change, until the one that has the user by the stored map took it.

        A host that has lost the user's shard and does not know it yet stores a change and answers as ever,
        perhaps after the next host has loaded the user without it. So who answered is compared with the
        stored map, which is there before any host loads users by it.

        Raises:
            RoostError: What the host refused with.
            Unavailable: Not in time, and whether it took effect is unknown.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if await self._changed(user, question, timeout_s):
                        return
                    await asyncio.sleep(_PLACE_AGAIN_S)  # the newest map is on its way to us
        except TimeoutError as exc:
            raise Unavailable("The user has just moved to another host; try again.") from exc

    async def _changed(self, user: str, question: q.Question, timeout_s: float) -> bool:
        asked_by = self.shard_map
        await self.questions.ask(user, question, timeout_s)
        newest = await self._cluster.shard_map()
        return asked_by is not None and newest is not None and asked_by.serving(user) == newest.serving(user)

    def tell(self, user: str, message: Any) -> bool:
        """Send a message to the user's host; False if there is no link to it."""
        link = self._connections.link_for(user)
        if link is None or link.congested:
            return False
        link.send(message)
        return True

    async def close(self) -> None:
        """Disconnect from all hosts."""
        if self._again is not None:
            self._again.cancel()
        await self._connections.close()

    # --- actors.rpc.connections.Owner ---

    def linked(self, host: str, link: Link) -> None:
        """Attach and watch what is the host's."""
        self._tell_since(host, link)
        self._linked(host)
        self.attachments.place()

    def received(self, link: Link, messages: list[Any]) -> None:
        """Hand each message to the one it is for."""
        handlers = self._handlers
        for message in messages:
            handlers[type(message)](link, message)

    def unlinked(self, host: str, link: Link) -> None:  # noqa: ARG002 -- the port's
        """Questions move on, streams wait for the next link."""
        self.questions.redirect(link)
        self.attachments.lost(link)

    def _not_mine(self, link: Link, message: m.NotMine) -> None:
        self.questions.redirect(link, message.shard)
        self.attachments.detach(link, message.shard, self.shard_map.shards if self.shard_map else 1)
        # The new map is on its way to us, or ours is newer and on its way to the host.
        self._place_soon()

    def _tell_since(self, name: str, link: Link) -> None:
        """Let a host know, before what goes by this map, since when it has its shards by it.

        It may not have the map yet, nor have heard that a shard went elsewhere and came back.
        """
        shards = {} if self.shard_map is None else self.shard_map.since_of(name)
        if shards:
            link.send(m.Since(shards))

    def _place_soon(self) -> None:
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(_PLACE_AGAIN_S, self._place_again)

    def _place_again(self) -> None:
        self._again = None
        self.attachments.place()
        for name in list(self._connections.links):
            self._linked(name)
