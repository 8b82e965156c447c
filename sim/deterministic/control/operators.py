"""An operator of a run: asks for changes, one after the other, and asks again until each is done."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.deterministic.control.world import World

_LOOK_S = 0.5
_PATIENCE_S = 20.0
"""For so long an answer is waited for."""

_NO_PLACE = "Every other machine is drained"
"""Asking again does not help."""

Wish = tuple[str, Any]
"""Act and object of a request, as `cluster.operations.requests.Operations.submit` takes it."""


class Operator:
    """See the module.

    Attributes:
        wishes: Which are not done yet, the present one first.
        counts: How many of each role there are to be, as far as is known; None: not known for now.
        cordoned: Machines that are drained.
        refused: What the last request was answered that was not carried out.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.wishes: deque[Wish] = deque()
        self.counts: dict[str, int] = dict(world.settings.cluster.counts)
        self.cordoned: set[str] = set()
        self.refused = ""
        self.done = 0
        self._news = asyncio.Event()
        self._task = world.loop.create_task(self._run())

    def wish(self, act: str, what: Any) -> None:
        """Wish for one more change."""
        self.wishes.append((act, what))
        self._news.set()

    async def _run(self) -> None:
        while True:
            while not self.wishes:
                self._news.clear()
                await self._news.wait()
            act, what = self.wishes[0]
            if await self._carried_out(act, what):
                if self.refused and act == "drain" and what in self._world.machines.machines:
                    self.wishes.append(("undrain", what))  # it may be cordoned all the same
                self._note(act, what)
                self.done += 1
                self.wishes.popleft()
            else:
                await asyncio.sleep(_LOOK_S)

    async def _carried_out(self, act: str, what: Any) -> bool:
        """Ask for it once; returns whether it need not be asked for again."""
        answer = await self._tell({"act": act, "what": what})
        if answer is None:
            return False
        if "refused" in answer:
            self.refused = answer["refused"]
            return "starting" not in self.refused  # else it makes no sense, or no longer
        while True:
            await asyncio.sleep(_LOOK_S)
            found = await self._tell({"act": "operation", "number": answer["number"]})
            if found is None or "refused" in found:
                return False  # another coordinator is there by now
            if found["done"]:
                self.refused = found["failure"]
                return not found["failure"] or _NO_PLACE in found["failure"]

    def _note(self, act: str, what: Any) -> None:
        if act == "scale" and not self.refused:
            self.counts |= what
        elif act == "drain" and what in self._world.machines.machines:
            if not self.refused:
                self.cordoned.add(what)
        elif act == "undrain":
            self.cordoned.discard(what)
        elif act == "drain":
            role = what.rpartition("-")[0]
            roster = self._world.database.the_roster
            names = set(roster.names) - set(roster.going) if roster is not None else set()
            self.counts[role] = sum(name.startswith(f"{role}-") for name in names)
        self.refused = ""

    async def _tell(self, message: dict[str, Any]) -> Any:
        """Return the coordinator's answer; None if there is none."""
        one, coordinator = self._world.incumbent, self._world.coordinator
        if one is None or coordinator is None or one.dead:
            return None
        answered: asyncio.Future[Any] = self._world.loop.create_future()
        self._world.loop.create_task(
            _answer(answered, lambda: coordinator.tell(message)), context=one.context.copy()
        )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await answered
        except TimeoutError:
            return None


async def _answer(answered: "asyncio.Future[Any]", call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    result = await call()
    if not answered.done():
        answered.set_result(result)
