"""Ray of a run: machines, processes with names, calls to them, and what the head knows of them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from actors.ray_actor import RoleAway, RoleFailed, RoleHandle
from actors.service import Alive, Node
from sim.deterministic.control.network import APART_S, Network
from sim.deterministic.control.process import NotBegun, Process
from sim.deterministic.control.virtual_time import Life, life
from storage.shard_map import ShardMap

_CALL_S = 30.0
_DEATH_TOLD_S = (0.05, 1.2)
_UNREACHABLE_S = 9.0
"""For so long the head waits for a machine that it does not reach."""

HEAD = "n1"
"""The machine with Ray's head and the coordinator."""


class Machine:
    """A machine.

    Attributes:
        node: As it is known to the cluster.
        up: It runs.
        known: The head counts it among the living.
    """

    def __init__(self, node: Node) -> None:
        self.node, self.up, self.known = node, True, True


class Machines:
    """All machines and processes.

    Attributes:
        machines: By id.
        lives: Every process that ever was, the oldest first.
        known: The process that the head names, by its name; it may have ended.
        head_away: The head answers nothing.
    """

    def __init__(
        self, network: Network, rng: Random, made: Callable[[Process], None], start_s: float
    ) -> None:
        self._network, self._rng, self._made, self._start_s = network, rng, made, start_s
        self.machines: dict[str, Machine] = {}
        self.lives: list[Process] = []
        self.known: dict[str, Process] = {}
        self.head_away = False
        self._held: defaultdict[frozenset[str], list[tuple[Life | None, Callable[[], None]]]] = defaultdict(
            list
        )
        self._last_s: dict[tuple[Life | None, Process], float] = {}

    # --- machines ---

    def join(self, node: Node) -> None:
        """A machine joins."""
        self.machines[node.id] = Machine(node)

    def nodes(self) -> list[Node]:
        """Return the machines that the head knows."""
        if self.head_away:
            raise RoleAway("Ray does not say which machines there are.")
        return [each.node for each in self.machines.values() if each.known]

    def crash(self, node_id: str) -> None:
        """A machine ends, with all on it."""
        self.machines[node_id].up = False
        for process in self.on(node_id):
            self.die(process)
        self._later(self._rng.uniform(*_DEATH_TOLD_S), self.forget, node_id)

    def cut(self, node_id: str) -> None:
        """A machine reaches no other one any more; the head gives it up after a while."""
        self._network.cut.add(node_id)
        self._later(_UNREACHABLE_S, self._give_up, node_id)

    def heal(self, node_id: str) -> None:
        """It does again. One that was given up ends what it has."""
        self._network.cut.discard(node_id)
        machine = self.machines[node_id]
        if not machine.known:
            machine.up = False
            for process in self.on(node_id):
                self.die(process)
        for pair in [pair for pair in self._held if node_id in pair]:
            for sender, message in self._held.pop(pair):
                if sender is None or not sender.dead:
                    message()
        for process in self.lives:
            if process.life.node == node_id and process.life.dead and not process.known_dead:
                self._know(process)

    def on(self, node_id: str) -> list[Process]:
        """Return the processes that live on a machine."""
        return [each for each in self.lives if each.life.node == node_id and not each.life.dead]

    def forget(self, node_id: str) -> None:
        """The head counts a machine as gone, with all on it."""
        self.machines[node_id].known = False
        for process in self.lives:
            if process.life.node == node_id:
                self._know(process)

    def _give_up(self, node_id: str) -> None:
        if node_id in self._network.cut:
            self.forget(node_id)

    # --- processes ---

    def spawn(self, role: str, name: str, node_id: str, process: str) -> "Handle":
        """Return the process of this name as the head knows it, or make it."""
        found = self.known.get(process)
        if found is None or found.known_dead:
            found = self._make(process, node_id)
        return Handle(self, role, name, found)

    def _make(self, name: str, node_id: str) -> Process:
        machine = self.machines.get(node_id)
        if machine is None or not machine.known:
            node_id = self._rng.choice([each.id for each in self.nodes()])
        at = self.machines[node_id].node
        process = Process(name, len(self.lives) + 1, at, self._network.loop)
        self.lives.append(process)
        self.known[name] = process
        if not self.machines[node_id].up:
            process.life.dead = True  # the head does not know it yet, and will
            return process
        self._later(self._rng.uniform(0.3, 1.0) * self._start_s, process.started)
        self._made(process)
        return process

    def die(self, process: Process) -> None:
        """A process ends where it stands."""
        if process.life.dead:
            return
        self._network.loop.end_life(process.life)
        process.ended()
        if self._network.linked(process.life.node, HEAD):
            self._later(self._rng.uniform(*_DEATH_TOLD_S), self._know, process)

    def kill(self, process: Process) -> None:
        """The head counts a process as ended, and ends it if it can."""
        self._know(process)
        self._send(None, process, partial(self.die, process))

    def _know(self, process: Process) -> None:
        process.known_dead = True
        for future in list(process.calls):
            if not future.done():
                future.set_exception(RoleAway(f"{process.name} has died."))

    # --- calls ---

    async def call(self, to: Process, method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """Call a method of a process, as a client of Ray does.

        Raises:
            RoleAway: It has ended, or does not answer in time.
            RoleFailed: The method raised.
        """
        mine = self._network.count()
        future: asyncio.Future[Any] = self._network.loop.create_future()
        to.calls[future] = None
        if to.known_dead:
            self._later(self._network.latency_s(), _settle, future, None, RoleAway(f"{to.name} has died."))
        else:
            self._send(mine, to, partial(self._arrived, mine, to, method, arguments, future))
        try:
            async with asyncio.timeout(timeout_s):
                result = await future
        except TimeoutError:
            raise RoleAway(f"{to.name} does not answer (TimeoutError).") from None
        finally:
            to.calls.pop(future, None)
        self._network.count()
        return result

    def _send(self, mine: Life | None, to: Process, arrive: Callable[[], None]) -> None:
        """Have a message arrive, after those that were sent before it."""
        way = frozenset((mine.node if mine is not None else HEAD, to.life.node))
        if len(way) > 1 and way & self._network.cut:
            self._held[way].append((mine, partial(self._send, mine, to, arrive)))
            return
        last_s = self._last_s.get((mine, to), 0.0)
        at_s = max(self._network.loop.time() + self._network.latency_s(), last_s + APART_S)
        self._last_s[mine, to] = at_s
        self._network.loop.call_at(at_s, arrive)

    def _arrived(
        self,
        mine: Life | None,
        to: Process,
        method: str,
        arguments: tuple[Any, ...],
        future: "asyncio.Future[Any]",
    ) -> None:
        if to.life.dead:
            return
        work = self._answer(mine, to, method, arguments, future)
        to.spawn(work)

    async def _answer(
        self,
        mine: Life | None,
        to: Process,
        method: str,
        arguments: tuple[Any, ...],
        future: "asyncio.Future[Any]",
    ) -> None:
        result: Any = None
        failure: Exception | None = None
        try:
            result = await to.answer(method, arguments)
        except NotBegun:
            failure = RoleAway(f"{to.name} has not begun yet.")
        except Exception as exc:  # noqa: BLE001 -- the caller is told
            failure = RoleFailed(f"{to.name}.{method} failed: {exc!r}")
        self._reply(mine, to, future, result, failure)

    def _reply(
        self,
        mine: Life | None,
        to: Process,
        future: "asyncio.Future[Any]",
        result: Any,
        failure: Exception | None,
    ) -> None:
        way = frozenset((mine.node if mine is not None else HEAD, to.life.node))
        if len(way) > 1 and way & self._network.cut:
            again = partial(self._reply, mine, to, future, result, failure)
            self._held[way].append((to.life, again))
            return
        fate = self._network.troubled("calls")
        pause_s = {None: 0.0, "late": 4.0, "refused": 12.0, "lost": 2 * _CALL_S}[fate]
        self._later(self._network.latency_s() + pause_s, _settle, future, result, failure)

    def _later(self, seconds: float, call: Callable[..., Any], *args: Any) -> None:
        self._network.loop.call_later(seconds, call, *args)


def _settle(future: "asyncio.Future[Any]", result: Any, failure: Exception | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)


class Handle(RoleHandle):
    """What a caller has of a process; see `actors.ray_actor.RoleHandle`."""

    def __init__(self, machines: Machines, role: str, name: str, to: Process) -> None:
        super().__init__(role, name, None, to.name)
        self._machines, self._to = machines, to

    def of(self, role: str, name: str) -> "Handle":
        """Return the handle of another role that the same process is to be."""
        return Handle(self._machines, role, name, self._to)

    async def warm(self, loader: str) -> Alive:
        """Have it load what any role needs."""
        found: Alive = await self._do("warm", loader)
        return found

    async def beat(self) -> tuple[Alive, dict[str, Any]]:
        """Have it be the role; return who is there, and its figures."""
        found: tuple[Alive, dict[str, Any]] = await self._do("beat", self.role, self.name)
        return found

    def ended(self, pid: int | None) -> bool:
        """Return whether the head knows that it has ended."""
        if self._machines.head_away:
            return False
        return self._to.known_dead or (pid is not None and self._to.pid != pid)

    async def apply(self, shard_map: ShardMap) -> None:
        """Hand over the map."""
        await self._do("apply", shard_map)

    async def pause_writes(self) -> None:
        """Pause its writes."""
        await self._do("pause_writes")

    async def resume_writes(self) -> None:
        """Resume its writes."""
        await self._do("resume_writes")

    async def status(self) -> dict[str, Any]:
        """Return its figures."""
        found: dict[str, Any] = await self._do("status")
        return found

    async def metrics(self) -> bytes:
        """There are none here."""
        return b""

    async def tell(self, message: dict[str, Any], timeout_s: float = _CALL_S) -> Any:
        """Pass on a message."""
        return await self._do("tell", message, timeout_s=timeout_s)

    async def stop(self, timeout_s: float = _CALL_S) -> list[str]:
        """Stop it in order."""
        given_up: list[str] = await self._do("stop", timeout_s=timeout_s)
        return given_up

    def kill(self) -> None:
        """End it for good."""
        mine = life()
        if mine is None or not mine.dead:
            self._machines.kill(self._to)

    async def _do(self, method: str, *arguments: Any, timeout_s: float = _CALL_S) -> Any:
        return await self._machines.call(self._to, method, arguments, timeout_s)


class ExitWatch:
    """Sees the end of a process of the coordinator's machine; see `cluster.supervision.process_exit`."""

    def __init__(self, machines: Machines, ended: Callable[[], None]) -> None:
        self._machines, self._ended = machines, ended
        self._watched: Process | None = None

    @property
    def watching(self) -> bool:
        """Whether the end of a process would be seen."""
        return self._watched is not None

    def watch(self, pid: int) -> None:
        """Watch this process from now on."""
        self.stop()
        process = self._machines.lives[pid - 1]
        if process.life.dead:
            self._ended()
            return
        self._watched = process
        process.watchers.append(self._readable)

    def stop(self) -> None:
        """Watch no process."""
        if self._watched is not None:
            self._watched.watchers.remove(self._readable)
            self._watched = None

    def _readable(self) -> None:
        self.stop()
        self._ended()
