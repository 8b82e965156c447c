"""Links between roles: messages in order, delivered when the run says so, lost when the link breaks."""

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, Protocol

from actors.rpc.messages import PROTOCOL

_END: Final = object()
"""Travels last: whoever takes it learns that the link is gone."""


class Handler(Protocol):
    """What a link's end reports to; as `actors.rpc.link.Handler`."""

    def opened(self, link: Any) -> None:
        """The link stands."""
        ...

    def received(self, link: Any, messages: list[Any]) -> None:
        """Messages came."""
        ...

    def closed(self, link: Any) -> None:
        """The link is gone."""
        ...


class End:
    """One end of a link, with what `actors.rpc.link.Link` offers to the rules.

    A link that breaks does so for each side at a time of its own: until then a side believes that it
    stands, and what it sends is lost.

    Attributes:
        role: The other side's role.
        name: The other side's name, or life.
        alive: This side believes that the link stands.
        incoming: Sent by the other side, not delivered yet.
        congested: The other side reads slower than we write; never so here.
        protocol: The newest version that both sides speak.
    """

    congested = False
    protocol = PROTOCOL

    def __init__(self, handler: Handler, role: str, name: str) -> None:
        self.handler = handler
        self.role, self.name = role, name
        self.alive = True
        self.incoming: deque[Any] = deque()
        self.other: End = self
        self._broken = False

    def __repr__(self) -> str:
        # It is part of tokens, and so of what tells one run from another.
        return f"End({self.role!r}, {self.name!r})"

    def send(self, message: Any) -> None:
        """Send; lost when the link is broken."""
        if self.alive and not self._broken:
            self.other.incoming.append(message)

    def send_soon(self, message: Any) -> None:
        """Send; how long it waits for company makes no difference here, where everything may wait."""
        self.send(message)

    def close(self) -> None:
        """Close the link: what was sent before still arrives, what comes here does not."""
        self.incoming.clear()
        self._break()

    def cut(self) -> None:
        """Break the link: what is on its way is lost."""
        self.incoming.clear()
        self.other.incoming.clear()
        self._break()

    def die(self) -> None:
        """The process of this side is gone."""
        self.close()
        self.alive = False
        self.incoming.clear()

    def deliver(self, most: int) -> int:
        """Hand over up to so many messages, and the end of the link; returns how many."""
        some = [self.incoming.popleft() for _ in range(min(most, len(self.incoming)))]
        over = bool(some) and some[-1] is _END
        if some[: len(some) - over]:
            self.handler.received(self, some[: len(some) - over])
        if over and self.alive:
            self.alive = False
            self.handler.closed(self)
        return len(some)

    def _break(self) -> None:
        for end in (self, self.other):
            end._broken = True  # noqa: SLF001 -- the other end of the same link
            if end.alive and (not end.incoming or end.incoming[-1] is not _END):
                end.incoming.append(_END)


class Links:
    """All links, by direction: ``r0>h1`` is what travels from router 0 to host 1.

    An older link of the same two, whose end the one side has not noticed yet, is ``r0>h1~1`` and so on.
    """

    def __init__(self) -> None:
        self._ends: dict[str, End] = {}

    def join(self, near: tuple[Handler, str, str], far: tuple[Handler, str, str], life: str) -> End:
        """Make a link between two roles, each (handler, role, name); returns the near end."""
        mine, theirs = End(near[0], far[1], life), End(far[0], near[1], near[2])
        mine.other, theirs.other = theirs, mine
        self._put(f"{near[2]}>{far[2]}", theirs)
        self._put(f"{far[2]}>{near[2]}", mine)
        theirs.handler.opened(theirs)
        mine.handler.opened(mine)
        return mine

    def _put(self, name: str, end: End) -> None:
        older = self._ends.get(name)
        if older is not None and older.alive:
            free = next(f"{name}~{n}" for n in count(1) if f"{name}~{n}" not in self._ends)
            self._ends[free] = older
        self._ends[name] = end

    def busy(self) -> list[str]:
        """Return the directions in which something travels."""
        return [name for name, end in self._ends.items() if end.incoming]

    def deliver(self, name: str, most: int) -> int:
        """Hand over up to so many messages; returns how many."""
        end = self._ends.get(name)
        done = end.deliver(most) if end is not None else 0
        if end is not None and not end.alive and self._ends.get(name) is end:
            del self._ends[name]
        return done

    def cut(self, name: str) -> bool:
        """Break the link with this direction."""
        end = self._ends.get(name)
        if end is None or not end.alive:
            return False
        end.cut()
        return True

    def names(self) -> Sequence[str]:
        """Return all directions of links that someone believes to stand."""
        return [name for name, end in self._ends.items() if end.alive]

    def close_all(self, role: str) -> None:
        """Break every link of a role that is gone."""
        for name, end in list(self._ends.items()):
            if name.partition("~")[0].endswith(f">{role}"):
                end.die()
                del self._ends[name]
