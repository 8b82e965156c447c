"""The way of a user's messages through one role, for an operator who watches for a while.

While someone does, `traces.tracer` is one that also keeps the steps of that user's messages, in memory and
bounded. When the time is over the tracer of before is back, and nothing is kept.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from time import time_ns
from typing import Any, Final

from msgspec import Raw, Struct, field, msgpack

from telemetry import traces

_HOPS: Final = 2_000
_WATCHES: Final = 10
_DOWN: Final = 1_000

_STEPS: Final = {
    traces.ACCEPT: "accepted",
    traces.HAND_OVER: "handed over",
    traces.DELIVER: "handled",
    traces.STORE: "stored",
    traces.PUSH: "pushed",
}
_BEGUN: Final = {traces.ACCEPT: "received", traces.HAND_OVER: "read"}
"""What the beginning of a step is called, where it says more than its end."""


class Hop(Struct, frozen=True):
    """A message was here.

    Attributes:
        at_ms: Unix milliseconds, by the clock of the machine.
        step: What happened.
        cause: The message's id.
        detail: What else is known; never users, never content.
    """

    at_ms: float
    step: str
    cause: str
    detail: str = ""


class _Watch(Struct):
    user: str
    name: str
    until_ms: int
    hops: deque[Hop] = field(default_factory=lambda: deque(maxlen=_HOPS))
    down: deque[tuple[str, str, int, str]] = field(default_factory=lambda: deque(maxlen=_DOWN))
    """User, device, seq and message id of what went down and was not acknowledged."""

    def concerns(self, users: Iterable[str]) -> bool:
        return any(each in (self.user, self.name) for each in users)


class LiveTraces:
    """Who is watched in this process, and by whom."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._tracer: _Listening | None = None

    def arm(self, user: str, name: str, by: str, for_s: float) -> bool:
        """Watch a user's messages for some time from now on; False if too many are watched already.

        Args:
            user: User id.
            name: Username.
            by: Whose watch it is; only they are shown it.
            for_s: How long.
        """
        key, until_ms = (by, user), round(time_ns() / 1e6 + for_s * 1000)
        if key not in self._watches and len(self._watches) >= _WATCHES:
            return False
        watch = self._watches.setdefault(key, _Watch(user, name, until_ms))
        watch.until_ms = max(until_ms, watch.until_ms)
        asyncio.get_running_loop().call_later(for_s, self._expire)
        if self._tracer is None:
            self._tracer = traces.tracer = _Listening(traces.tracer, self._watches)
        return True

    def seen(self, by: str, user: str, cause: str) -> dict[str, Any]:
        """Return the ``hops`` of a user's messages, or of one message, and until when is watched; 0: not."""
        mine = [each for (owner, whom), each in self._watches.items() if owner == by and user in ("", whom)]
        hops = [hop for watch in mine for hop in watch.hops if cause in ("", hop.cause)]
        return {
            "until_ms": max((each.until_ms for each in mine), default=0),
            "hops": [[hop.at_ms, hop.step, hop.cause, hop.detail] for hop in dict.fromkeys(hops)],
        }

    def _expire(self) -> None:
        now_ms = time_ns() / 1e6
        for key in [key for key, watch in self._watches.items() if watch.until_ms <= now_ms + 1]:
            del self._watches[key]
        if not self._watches and self._tracer is not None:
            traces.tracer, self._tracer = self._tracer.before, None


class _Listening(traces.Tracer):
    """Keeps steps for those who watch, and passes everything on.

    Attributes:
        before: The tracer that sends spans away, None if there is none.
    """

    def __init__(self, before: traces.Tracer | None, watches: dict[tuple[str, str], _Watch]) -> None:
        super().__init__(lambda _: None)
        self.before, self._watches = before, watches

    def begin(self, step: str, key: object) -> None:
        if self.before is not None:
            self.before.begin(step, key)
        super().begin(step, key)

    def end(
        self, step: str, key: object, cause: str, users: Sequence[str] = (), **attributes: str | int
    ) -> None:
        if self.before is not None:
            self.before.end(step, key, cause, users, **attributes)
        if (began_ns := self.taken(step, key)) is not None:
            self._keep(step, cause, began_ns, users, attributes)

    def span(
        self, step: str, cause: str, began_ns: int, users: Sequence[str] = (), **attributes: str | int
    ) -> None:
        if self.before is not None:
            self.before.span(step, cause, began_ns, users, **attributes)
        self._keep(step, cause, began_ns, users, attributes)

    def went_down(self, user: str, device: str, entries: Sequence[Raw | bytes]) -> None:
        at_ms = self.now() / 1e6
        for raw in entries:
            entry = msgpack.decode(raw)
            cause, sender = entry.get("id", ""), entry.get("from", "")
            for watch in self._watches.values() if cause else ():
                if watch.concerns((user, sender)):
                    watch.hops.append(Hop(at_ms, "delivered", cause, f"device={device}"))
                    watch.down.append((user, device, entry["seq"], cause))

    def acknowledged(self, user: str, device: str, seq: int) -> None:
        at_ms = self.now() / 1e6
        for watch in self._watches.values():
            done = [each for each in watch.down if each[:2] == (user, device) and each[2] <= seq]
            for each in done:
                watch.down.remove(each)
                watch.hops.append(Hop(at_ms, "acknowledged", each[3], f"device={device}"))

    def _keep(
        self, step: str, cause: str, began_ns: int, users: Sequence[str], attributes: dict[str, str | int]
    ) -> None:
        now_ns = self.now()
        detail = " ".join(f"{name}={value}" for name, value in attributes.items())
        for watch in self._watches.values():
            if watch.concerns(users):
                if step in _BEGUN:
                    watch.hops.append(Hop(began_ns / 1e6, _BEGUN[step], cause))
                watch.hops.append(Hop(now_ns / 1e6, _STEPS[step], cause, detail))
