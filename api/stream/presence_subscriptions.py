"""Presence subscriptions of this gateway's streams, and their registration at the hosts."""

from collections import defaultdict
from typing import Protocol

from actors.rpc import messages as m
from api.host_links import HostLinks


class Follower(Protocol):
    """A stream that follows users.

    Attributes:
        user: The watcher's user id.
        following: User ids by username.
    """

    user: str
    following: dict[str, str]

    def presence(self, username: str, *, online: bool, last_seen_ms: int | None) -> None:
        """Tell the client."""
        ...


class PresenceSubscriptions:
    """The subscriptions of all streams."""

    def __init__(self, hosts: HostLinks) -> None:
        self._hosts = hosts
        self._followers: dict[tuple[str, str], set[Follower]] = {}
        self._watched: dict[tuple[str, str], str] = {}

    def follow(self, stream: Follower, users: dict[str, str]) -> None:
        """Follow exactly these (``{username: user id}``) from now on."""
        earlier, stream.following = stream.following, users
        ended, begun = [], []
        for name in earlier.keys() - users.keys():
            followers = self._followers[stream.user, name]
            followers.discard(stream)
            if not followers:
                del self._followers[stream.user, name], self._watched[stream.user, name]
                ended.append(earlier[name])
        for name in users.keys() - earlier.keys():
            self._followers.setdefault((stream.user, name), set()).add(stream)
            self._watched[stream.user, name] = users[name]
            begun.append(users[name])
        for some in self._by_host(ended):
            self._hosts.tell(some[0], m.Unwatch(stream.user, some))
        for some in self._by_host(begun):
            self._hosts.tell(some[0], m.Watch(stream.user, some))

    def heard(self, message: m.PresenceTo) -> None:
        """Pass presence on to every stream of the watcher that follows the user (named, not by id)."""
        for stream in list(self._followers.get((message.watcher, message.user), ())):
            stream.presence(message.user, online=message.online, last_seen_ms=message.last_seen_ms)

    def linked(self, host: str) -> None:
        """A host that knows nothing of us: watch again what it serves."""
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for (watcher, _), user in self._watched.items():
            if self._hosts.host_of(user) == host:
                wanted[watcher].append(user)
        for watcher, users in wanted.items():
            self._hosts.tell(users[0], m.Watch(watcher, users))

    def _by_host(self, users: list[str]) -> list[list[str]]:
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for user in users:
            groups[self._hosts.host_of(user)].append(user)
        return list(groups.values())
