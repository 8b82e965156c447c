"""A client's requests in progress on one stream, and the bound on them: beyond it the socket is not read."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from api.sending.send_request import Outcome, SendRequest, SentIds
from api.stream import actions as do
from api.stream.services import StreamServices
from api.stream.session import StreamSession
from roost.errors import RoostError
from roost.tasks import BackgroundTasks
from storage.ports import Accepted

_PENDING_BYTES = 1024 * 1024
_TASKS_MAX = 64

log = structlog.get_logger(__name__)


class Requests:
    """The sends without an answer and the other requests in progress.

    Args:
        services: What the gateway does for its streams.
        session: Makes frames of the answers.
        perform: Sends them.
    """

    def __init__(
        self,
        services: StreamServices,
        session: StreamSession,
        perform: Callable[[list[do.Action]], None],
    ) -> None:
        self._services, self._session, self._perform = services, session, perform
        self._ids = SentIds()
        self._sends = 0
        self._sends_bytes = 0
        self._tasks = BackgroundTasks()
        self._room: asyncio.Future[None] | None = None

    def submit(self, action: do.Submit) -> None:
        """Have a message accepted."""
        principal = self._session.login.principal
        assert principal is not None  # noqa: S101 -- the session submits after the hello only
        item = SendRequest(principal, action.frame, lambda outcome: self._answer(message_id, size, outcome))
        item.ids = self._ids
        message_id, size = action.frame.id, item.size
        self._sends += 1
        self._sends_bytes += size
        self._services.sender.submit(item)

    def attempt(self, frame: str, work: Awaitable[None]) -> None:
        """Do what a frame asks for, and tell the client if it fails."""
        self._spawn(self._attempt(frame, work))

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what no frame asks for; it handles its own failures."""
        self._spawn(work)

    def full(self) -> bool:
        """Return whether to stop reading, so that the client waits until what it asked for is answered."""
        return (
            self._sends >= self._services.sender.gate.admission.bounds.device
            or self._sends_bytes >= _PENDING_BYTES
            or len(self._tasks) >= _TASKS_MAX
        )

    async def room(self) -> None:
        """Return once there is room for another request."""
        while self.full():
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def cancel(self) -> None:
        """Cancel what is in progress; sends go on without us."""
        await self._tasks.cancel()

    def _answer(self, message_id: str, size: int, outcome: Outcome) -> None:
        self._sends -= 1
        self._sends_bytes -= size
        self._make_room()
        if isinstance(outcome, Accepted):
            self._perform(self._session.answered(message_id, outcome.seq, outcome.accepted_at_ms))
        else:
            self._perform(self._session.refused(message_id, outcome))

    async def _attempt(self, frame: str, work: Awaitable[None]) -> None:
        try:
            await work
        except RoostError as exc:
            self._perform(self._session.failed(frame, exc))
        except Exception:
            log.exception("frame_failed", frame=frame)
            error = RoostError("internal", "Something went wrong; the frame may have had no effect.")
            self._perform(self._session.failed(frame, error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.spawn(work).add_done_callback(lambda _: self._make_room())

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done() and not self.full():
            self._room.set_result(None)
