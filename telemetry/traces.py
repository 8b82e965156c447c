"""One message's way through all roles, as spans of one trace; off unless an operator says where to send them.

The trace's id is the message's id (`cause`), which every record carries anyway: nothing is added to what
crosses the log and the links. Here lives what the roles call; who sends the spans is set by
`telemetry.otlp`, so that without it nothing is loaded and a role pays one look at ``tracer``.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from time import time_ns
from typing import Final
from uuid import UUID

from msgspec import Raw, Struct

ACCEPT: Final = "accept"
HAND_OVER: Final = "hand over"
DELIVER: Final = "deliver"
STORE: Final = "store"
PUSH: Final = "push"

_OPEN: Final = 100_000
_SPACE: Final = 2**32


class Span(Struct, frozen=True):
    """One step of a message.

    Attributes:
        step: Name.
        trace: The message's id as a number of 128 bits.
        root: Number of 64 bits of the trace's first span, the same in every role.
        began_ns: Unix nanoseconds.
        ended_ns: Unix nanoseconds.
        attributes: What else is known; never users, never content.
    """

    step: str
    trace: int
    root: int
    began_ns: int
    ended_ns: int
    attributes: dict[str, str | int]


class Tracer:
    """Times steps.

    Args:
        send: Takes a span; must not block.
        share: Share of the messages that are traced, 0 to 1; each role chooses the same ones.
        clock: Unix nanoseconds.
    """

    def __init__(
        self, send: Callable[[Span], None], share: float = 1.0, clock: Callable[[], int] = time_ns
    ) -> None:
        self._send, self._below, self.now = send, round(share * _SPACE), clock
        self._open: dict[tuple[str, object], int] = {}

    def begin(self, step: str, key: object) -> None:
        """Note that a step begins; ``key`` finds it again in `end`."""
        self._open[step, key] = self.now()
        if len(self._open) > _OPEN:  # what was begun and came to nothing
            del self._open[next(iter(self._open))]

    def end(
        self, step: str, key: object, cause: str, users: Sequence[str] = (), **attributes: str | int
    ) -> None:
        """Note that it ended, of which message it was, and whom that concerns, by id or name."""
        began = self.taken(step, key)
        if began is not None:
            self.span(step, cause, began, users, **attributes)

    def taken(self, step: str, key: object) -> int | None:
        """Return when a step that ends now began, None if it did not."""
        return self._open.pop((step, key), None)

    def went_down(self, user: str, device: str, entries: Sequence[Raw | bytes]) -> None:
        """Entries go to a device: no step of a span, and only for who watches (`telemetry.live_traces`)."""

    def acknowledged(self, user: str, device: str, seq: int) -> None:
        """A device has everything up to ``seq``; likewise."""

    def span(
        self,
        step: str,
        cause: str,
        began_ns: int,
        users: Sequence[str] = (),  # noqa: ARG002 -- told to no collector
        **attributes: str | int,
    ) -> None:
        """Send a step that ends now; a cause that is no message's id is not traced."""
        try:
            trace = UUID(cause).int
        except ValueError:
            return
        if trace % _SPACE < self._below:
            self._send(Span(step, trace, root_of(trace), began_ns, self.now(), attributes))


def root_of(trace: int) -> int:
    """Return the number of the trace's first span: every role knows it, and none hears it from another."""
    return int.from_bytes(blake2b(trace.to_bytes(16, "big"), digest_size=8).digest(), "big") or 1


tracer: Tracer | None = None
"""Set by the process's start-up, if at all."""
