"""Ownership: the shards this host serves, by its map and by the newer maps of routers and gateways."""

from collections.abc import Callable, Sequence

import structlog

from actors.host.links.links import Links
from actors.host.shards.commits import Commits
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.host.users.residents import Residents
from actors.host.writes.writer import Writer
from actors.rpc import messages as msg
from actors.rpc.link import Link
from roost.ids import shard_of
from storage.shard_map import ShardMap

log = structlog.get_logger()


class ShardOwnership:
    """Opens shards for routers, and gives them up when another host has them.

    Args:
        name: This host's.
        shards: Kept here.
        links: Told of what is given up.
        residents: The users of the shards.
        writer: Hurried when others wait for what is written.
        commits: Tells routers what is stored.
        dropped: Called with a shard that was given up: nothing of its users may stay in memory.
    """

    def __init__(
        self,
        name: str,
        shards: ShardTable,
        links: Links,
        residents: Residents,
        writer: Writer,
        commits: Commits,
        dropped: Callable[[Shard], None],
    ) -> None:
        self._name, self._shards, self._links = name, shards, links
        self._residents, self._writer, self._commits = residents, writer, commits
        self._dropped = dropped
        self._since: dict[int, int] = {}  # the newest map that gave us a shard, as far as known here
        self._over: dict[int, int] = {}  # logs of a shard under a lower base are over, whoever has read them

    # --- the map ----------------------------------------------------------------------------------

    def take(self, shard_map: ShardMap) -> None:
        """Take the newest map: let go of shards that others own now."""
        self._shards.take(shard_map)
        gone = [number for number in self._shards.open if shard_map.hosts[number] != self._name]
        for number in gone:
            self._give_up(number)
        if gone:
            self._writer.hurry()
        self.learn_since(shard_map.since_of(self._name))

    def learn_since(self, shards: dict[int, int]) -> None:
        """Let go of shards that were elsewhere since we opened them, as a peer with a newer map knows.

        What is in memory of them lacks what happened there: they begin again when a router opens them.
        """
        for number, since in shards.items():
            self._since[number] = max(since, self._since.get(number, 0))
            known = self._shards.open.get(number)
            if known is not None and known.since < since:
                log.info("shard_was_elsewhere", shard=number, opened=known.since, since=since)
                self._give_up(number)

    def give_up_all(self) -> None:
        """There are more shards now, each with fewer users: let go of all.

        Gateways that count shards as before do not know which of their streams a number means: -1 is all.
        """
        for number in list(self._shards.open):
            self._give_up(number)
        self._links.tell_gateways_not_mine(-1)
        self._writer.hurry()

    def _give_up(self, number: int) -> None:
        """Another host owns the shard by the newest map: drop it, and tell every router.

        A router may miss that map and see only the one after, by which the shard is ours again.
        """
        self._drop(number)
        self._shards.routers.pop(number, None)
        self._links.tell_routers_not_mine(number)

    def _drop(self, number: int) -> None:
        self._dropped(self._shards.open.pop(number))
        self._links.tell_gateways_not_mine(number)
        log.info("shard_dropped", shard=number)

    # --- routers ----------------------------------------------------------------------------------

    def open(self, link: Link, opened: msg.Open) -> None:
        """A router reads a shard from now on."""
        if self._refuses(opened):
            self._links.refuse(link, opened.shard)
            return
        known = self._shards.open.get(opened.shard)
        self._shards.routers[opened.shard] = link
        if known is not None and known.continues(opened):
            known.told = -1
            self._commits.tell(known)
            return
        waiting = known.waiting if known is not None else []
        # A log that was lost before all of it had come here: the host before us may have stored the rest.
        if known is not None and (opened.base == known.base or not known.ready):
            self._drop(opened.shard)
            known = None
        shard = self._shards.open[opened.shard] = Shard(opened, known)
        shard.waiting, shard.since = waiting, self._since.get(opened.shard, 0)
        if known is not None:
            self._residents.move(known, shard)
        log.info("shard_opened", shard=shard.number, base=shard.base, offset=opened.offset, end=opened.end)
        shard.run_waiting()

    def shut(self, link: Link, message: msg.Shut) -> None:
        """A router reads these shards no longer."""
        self._unread(link, message.shards)

    def closed(self, link: Link) -> None:
        """A router is gone."""
        self._unread(link, list(self._shards.routers))

    def _unread(self, link: Link, shards: Sequence[int]) -> None:
        """Tell the other routers of those shards that this one has read: no one reads them now.

        One that had a shard before may have missed the maps between, by which it was this one's, and would
        wait for what is told to no one.
        """
        for shard in shards:
            if self._shards.routers.get(shard) is link:
                del self._shards.routers[shard]
                self._links.tell_routers_not_mine(shard, but=link)

    def _refuses(self, opened: msg.Open) -> bool:
        """Return whether the router's map is old: the shard is another's, was elsewhere, or has a new log."""
        number, shard_map = opened.shard, self._shards.shard_map
        if shard_map is not None and _owner(shard_map, number) != self._name:
            return True
        if opened.since:
            self.learn_since({number: opened.since})
            if opened.since < self._since[number]:
                return True
        known = self._shards.open.get(number)
        bases = (
            shard_map.bases[number] if shard_map is not None else 0,
            known.base if known is not None else 0,
        )
        return opened.base < max(*bases, self._over.get(number, 0))

    # --- logs that are over -----------------------------------------------------------------------

    def end_logs(self, bases: dict[int, int]) -> list[int]:
        """Take no more of the logs under lower bases; return the shards of which not all is stored yet.

        Asked before these bases are shown to any role: who opens a shard under one of them finds in the
        store all that any host before has told devices of. It need not be a shard that is here.
        """
        for number, base in bases.items():
            self._over[number] = max(base, self._over.get(number, 0))
        self._writer.hurry()
        owed = {shard_of(user, self._shards.count) for user in self._writer.users_of_records()}
        owed |= {shard.number for shard in self._residents.shards_of_records() if self.is_over(shard)}
        return sorted(owed & bases.keys())

    def is_over(self, shard: Shard) -> bool:
        """Return whether the shard has a newer log than the one that it was opened with."""
        return shard.base < self._over.get(shard.number, 0)


def _owner(shard_map: ShardMap, shard: int) -> str:
    return shard_map.hosts[shard] if shard < shard_map.shards else ""  # the router's map may have more
