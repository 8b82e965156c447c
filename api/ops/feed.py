"""The feed of a gateway's pages for operators: one loop asks the coordinator, however many pages listen.

It asks while somebody listens and not otherwise, and never on the way of a message.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog
from msgspec import to_builtins

from api.control_plane import ControlPlane
from api.ops.frames import frame
from api.ops.reader import Mark, Reader
from cluster.ops.wire import HISTORY_S, STEP_S, Seen
from roost.clock import Clock
from roost.errors import RoostError
from roost.tasks import BackgroundTasks

PAGES: Final = 32
"""So many pages may listen to one gateway."""

_EVERY_S: Final = 1.0
_STATE_EVERY_MS: Final = 10_000

log = structlog.get_logger()

Answer = Mapping[str, Any]
"""`cluster.ops.wire.Answer`, as the coordinator sent it: it is passed on as it is."""


class Feed:
    """Asks for what is new, and gives it to every page.

    Args:
        control_plane: Is asked.
        server_name: Said to each page.
        clock: The time.
    """

    def __init__(self, control_plane: ControlPlane, server_name: str, clock: Clock) -> None:
        self._control_plane, self._server_name, self._clock = control_plane, server_name, clock
        self._readers: set[Reader] = set()
        self._tasks = BackgroundTasks()
        self._loop: asyncio.Task[None] | None = None
        self._seen = Seen()
        self._state_ms = 0
        self._operations: dict[int, Any] = {}
        self._away = False

    def __len__(self) -> int:
        return len(self._readers)

    @contextmanager
    def listening(self) -> Iterator[Reader]:
        """Give a page what is new from now on.

        Raises:
            RoostError: ``unavailable``: too many listen.
        """
        if len(self._readers) >= PAGES:
            raise RoostError("unavailable", f"{PAGES} pages listen here already.", retry_after_s=10)
        reader = Reader()
        self._readers.add(reader)
        if self._loop is None or self._loop.done():
            self._loop = self._tasks.spawn(self._run(), "feed of operators' pages")
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def beginning(self, reader: Reader) -> bytes:
        """Return what a page is sent first; what the feed has given it meanwhile, it gets once.

        Raises:
            Unavailable: The coordinator does not answer.
        """
        answer = await self._ask(Seen(history=True))
        hello = {
            "server_name": self._server_name,
            "release": answer["release"],
            "now_ms": answer["now_ms"],
            "history_s": HISTORY_S,
            "step_s": STEP_S,
        }
        figures_ms = max((each["at_ms"] for each in answer.get("figures", ())), default=0)
        reader.begin({"figures": figures_ms, "events": answer["told"], "state": answer["now_ms"]})
        return b"".join(
            [
                frame("hello", hello),
                frame("history", answer["history"]),
                frame("state", answer["state"]),
                *(frame("figures", each) for each in answer.get("figures", ())[-1:]),
                *(frame("event", each) for each in answer.get("events", ())),
                *(frame("operation", each) for each in answer.get("operations", ())),
            ]
        )

    async def close(self) -> None:
        """Say goodbye to every page."""
        for reader in self._readers:
            reader.end(RoostError("going_away", "This gateway stops; another one takes over."))
        await self._tasks.cancel()

    # --- the loop ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._seen, self._operations, self._away = Seen(), {}, False
        while self._readers:
            await self._look()
            await asyncio.sleep(_EVERY_S)

    async def _look(self) -> None:
        now_ms = self._clock()
        if now_ms - self._state_ms >= _STATE_EVERY_MS:
            self._seen = Seen(self._seen.coordinator, self._seen.figures_ms, self._seen.told)
        try:
            answer = await self._ask(self._seen)
        except RoostError as exc:
            if not self._away:
                log.warning("coordinator_away", reason=exc.detail)
                self._give(frame("away", {"at_ms": now_ms, "detail": exc.detail}))
            self._away = True
            return
        self._away = False
        self._pass_on(answer)

    async def _ask(self, seen: Seen) -> Answer:
        return await self._control_plane.tell({"act": "ops", "seen": to_builtins(seen)})

    def _pass_on(self, answer: Answer) -> None:
        if answer["coordinator"] != self._seen.coordinator:
            self._operations = {}
        if (state := answer.get("state")) is not None:
            self._state_ms = self._clock()
            self._give(frame("state", state), ("state", state["at_ms"]))
        figures_ms = self._seen.figures_ms
        for figures in answer.get("figures", ()):
            figures_ms = max(figures_ms, figures["at_ms"])
            self._give(frame("figures", figures), ("figures", figures_ms))
        if events := answer.get("events", ()):
            self._give(b"".join(frame("event", each) for each in events), ("events", answer["told"]))
        for operation in answer.get("operations", ()):
            if self._operations.get(operation["number"]) != operation:
                self._operations[operation["number"]] = operation
                self._give(frame("operation", operation))
        self._seen = Seen(answer["coordinator"], figures_ms, answer["told"], answer["state_of"])

    def _give(self, data: bytes, mark: Mark | None = None) -> None:
        for reader in self._readers:
            reader.put(data, mark)
