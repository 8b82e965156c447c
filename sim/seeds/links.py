"""Links between roles: messages in order, delivered when the run says so, lost when the link breaks."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from actors.service import ClusterView


def lives(view: ClusterView | None) -> list[tuple[str, str]]:
    """Return the hosts that a map names, each with its life."""
    if view is None:
        return []
    return [(host, view.incarnations[host]) for host in sorted(set(view.hosts)) if host in view.addresses]


class Handler(Protocol):
    """What a link's end reports to; as `actors.link.Handler`."""

    def received(self, link: Any, messages: list[Any]) -> None:
        """Messages came."""
        ...

    def closed(self, link: Any) -> None:
        """The link is gone."""
        ...


class End:
    """One end of a link, with what `actors.link.Link` offers to the rules.

    Attributes:
        role: The other side's role.
        name: The other side's name, or life.
        alive: The link stands.
        incoming: Sent by the other side, not delivered yet.
    """

    def __init__(self, handler: Handler, role: str, name: str) -> None:
        self.handler = handler
        self.role, self.name = role, name
        self.alive = True
        self.incoming: deque[Any] = deque()
        self.other: End = self

    def __repr__(self) -> str:
        # It is part of tokens, and so of what tells one run from another.
        return f"End({self.role!r}, {self.name!r})"

    def send(self, message: Any) -> None:
        """Send; lost when the link is gone."""
        if self.alive:
            self.other.incoming.append(message)

    def close(self) -> None:
        """Break the link: what is on its way is lost, and both sides learn it."""
        if not self.alive:
            return
        for end in (self, self.other):
            end.alive = False
            end.incoming.clear()
        for end in (self, self.other):
            end.handler.closed(end)


class Links:
    """All links that stand, by direction: ``r0>h1`` is what travels from router 0 to host 1."""

    def __init__(self) -> None:
        self._ends: dict[str, End] = {}

    def join(self, near: tuple[Handler, str, str], far: tuple[Handler, str, str], life: str) -> End:
        """Make a link between two roles, each (handler, role, name); returns the near end."""
        mine, theirs = End(near[0], far[1], life), End(far[0], near[1], near[2])
        mine.other, theirs.other = theirs, mine
        self._ends[f"{near[2]}>{far[2]}"] = theirs
        self._ends[f"{far[2]}>{near[2]}"] = mine
        return mine

    def busy(self) -> list[str]:
        """Return the directions in which something travels."""
        return [name for name, end in self._ends.items() if end.incoming]

    def deliver(self, name: str, count: int) -> int:
        """Hand over up to ``count`` messages; returns how many."""
        end = self._ends.get(name)
        if end is None or not end.incoming:
            return 0
        some = [end.incoming.popleft() for _ in range(min(count, len(end.incoming)))]
        end.handler.received(end, some)
        return len(some)

    def cut(self, name: str) -> bool:
        """Break the link with this direction."""
        end = self._ends.get(name)
        if end is None or not end.alive:
            return False
        end.close()
        return True

    def names(self) -> Sequence[str]:
        """Return all directions of links that stand."""
        return [name for name, end in self._ends.items() if end.alive]

    def close_all(self, role: str) -> None:
        """Break every link of a role that is gone."""
        for name, end in list(self._ends.items()):
            if role in name.split(">"):
                end.close()
                self._ends.pop(name, None)
