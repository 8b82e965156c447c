"""Links between routers and hosts: each message arrives a moment later, in order, or the link breaks."""

from collections.abc import Callable
from typing import Any, cast

from actors.rpc.connections import Connections
from sim.deterministic.control.fleet import Machines
from sim.deterministic.control.network import APART_S, Network
from sim.deterministic.control.process import Process


class End:
    """One side's end of a link.

    Attributes:
        other: The other side's end.
        alive: Nothing has closed it yet.
    """

    other: "End"

    def __init__(self, network: Network, owner: Process, take: Callable[["End", Any], None]) -> None:
        self._network, self._take = network, take
        self.owner = owner
        self.alive = True
        self.broken: Callable[[End], None] = lambda _: None
        self._last_s = 0.0

    def send(self, message: Any) -> None:
        """Have a message arrive at the other side."""
        if not self.alive:
            return
        loop = self._network.loop
        self._last_s = max(self._last_s + APART_S, loop.time() + self._network.latency_s())
        loop.call_at(self._last_s, self._arrived, message)

    def close(self) -> None:
        """End the link; the other side learns it."""
        if self.alive:
            self.alive = False
            self._network.loop.call_later(self._network.latency_s(), self.other.lost)

    def lost(self) -> None:
        """The other side is gone."""
        if self.alive:
            self.alive = False
            if not self.owner.life.dead:
                self._network.loop.call_soon(self.broken, self, context=self.owner.life.context)

    def _arrived(self, message: Any) -> None:
        there = self.other
        if not there.alive or there.owner.life.dead:
            return
        if not self._network.linked(self.owner.life.node, there.owner.life.node):
            self.lost()
            there.lost()
            return
        self._network.loop.call_soon(there._take, there, message, context=there.owner.life.context)  # noqa: SLF001 -- our own


def connections_of(name: str, process: Process, machines: Machines, network: Network) -> Connections:
    """Return a router's `Connections`, whose links lead to the processes of this run."""

    async def connect(address: tuple[str, int], handler: Any, *_: Any, **__: Any) -> Any:
        def reach() -> Process:
            host = machines.lives[address[1] - 1]
            linked = network.linked(process.life.node, host.life.node)
            if host.life.dead or host.inner is None or not linked:
                raise OSError("It refuses.")
            return host

        host = await network.ask("calls", reach)
        ours = End(network, process, lambda end, message: handler.received(end, [message]))
        theirs = End(network, host, host.inner.received)
        if host.life.dead:
            raise OSError("It died.")
        ours.other, theirs.other = theirs, ours
        ours.broken = handler.closed
        process.closed.append(theirs.lost)
        host.closed.append(ours.lost)
        return ours

    return Connections(("router", name), b"", cast("Any", connect))
