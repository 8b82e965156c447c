"""Who follows whose presence on this gateway, and at which host that is asked for."""

from collections import defaultdict
from typing import Protocol

from actors import messages as m
from api.hosts import HostLinks


class Follower(Protocol):
    """A stream that follows users.

    Attributes:
        user: The watcher's user id.
        following: Usernames by user id.
    """

    user: str
    following: dict[str, str]

    def presence(self, username: str, *, online: bool, last_seen_ms: int | None) -> None:
        """Tell the client."""
        ...


class Watching:
    """The subscriptions of all streams."""

    def __init__(self, hosts: HostLinks) -> None:
        self._hosts = hosts
        self._followers: dict[tuple[str, str], set[Follower]] = {}

    def follow(self, stream: Follower, users: dict[str, str]) -> None:
        """Follow exactly these (``{user id: username}``) from now on."""
        earlier, stream.following = stream.following, users
        ended = []
        for user in earlier.keys() - users.keys():
            followers = self._followers[stream.user, user]
            followers.discard(stream)
            if not followers:
                del self._followers[stream.user, user]
                ended.append(user)
        begun = [user for user in users if user not in earlier]
        for user in begun:
            self._followers.setdefault((stream.user, user), set()).add(stream)
        for host_users in self._by_host(ended).values():
            self._hosts.tell(host_users[0], m.Unwatch(stream.user, host_users))
        for host_users in self._by_host(begun).values():
            self._hosts.tell(host_users[0], m.Watch(stream.user, host_users))

    def heard(self, message: m.PresenceTo) -> None:
        """Pass presence on to every stream of the watcher that follows the user."""
        for stream in list(self._followers.get((message.watcher, message.user), ())):
            stream.presence(
                stream.following[message.user], online=message.online, last_seen_ms=message.last_seen_ms
            )

    def linked(self, host: str) -> None:
        """A host that knows nothing of us: watch again what it serves."""
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for watcher, user in self._followers:
            if self._hosts.host_of(user) == host:
                wanted[watcher].append(user)
        for watcher, users in wanted.items():
            self._hosts.tell(users[0], m.Watch(watcher, users))

    def _by_host(self, users: list[str]) -> dict[str, list[str]]:
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for user in users:
            groups[self._hosts.host_of(user)].append(user)
        return groups
