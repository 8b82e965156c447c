"""The gate of the accept path: the shell around `api.sending.admission`, with clock, timer and log."""

import asyncio
import random
import secrets
from collections.abc import Callable
from time import monotonic

import structlog

from actors.rpc import messages as m
from api.identity.directory import Directory
from api.identity.limits import Limits, limited
from api.sending.admission import Admission, Reason, Rejection
from api.sending.backlog import Backlog
from api.sending.flow import LOOK_S
from api.sending.send_request import SendRequest
from api.sending.sequence import Sequencer
from roost.errors import RoostError
from roost.ids import shard_of

_luck = random.Random(secrets.randbits(64)).random  # noqa: S311 -- it spreads load, guards nothing

log = structlog.get_logger(__name__)


class Gate:
    """Lets sends in, or says when to come again.

    Attributes:
        admission: The rules, and what they count.
    """

    def __init__(
        self, admission: Admission, sequencer: Sequencer, directory: Directory, limits: Limits
    ) -> None:
        self.admission = admission
        self._limits = limits
        self._sequencer = sequencer
        self._directory = directory
        self._sweep: Callable[[float], None] = lambda _: None
        self._timer: asyncio.TimerHandle | None = None

    def on_look(self, sweep: Callable[[float], None]) -> None:
        """Set who looks at its queue as long as something is inside.

        It is called with the time less what the process stood still just now: that is no wait for a turn.
        """
        self._sweep = sweep

    def let_in(self, item: SendRequest) -> RoostError | None:
        """Let a send in, or return what it is refused with."""
        device, size, admission = item.principal.device, item.size, self.admission
        shard = None if admission.backlogs.quiet else self._shard_of(item.frame.to)
        refused = admission.refusal(device, size, shard, item.arrived_s, _luck())
        if refused is not None:
            self._note(refused, began=admission.shed == 1)
            return refused.error()
        if (too_many := self._too_many_bytes(item)) is not None:
            return too_many
        item.leave = self._left
        admission.entered(device, size, shard)
        self._arm()
        return None

    def _too_many_bytes(self, item: SendRequest) -> RoostError | None:
        to = item.frame.to.casefold()
        for name, key in (
            ("bytes_by_device", item.principal.device),
            ("bytes_by_pair", f"{item.principal.user} {to}"),
            ("bytes_to_user", to),
        ):
            wait_s = self._limits.wait_here(name, key, item.size)
            if wait_s > 0:
                return limited(name, self.limit(item.principal.device, wait_s))
        return None

    def refuse(self, device: str, reason: Reason, count: int) -> RoostError:
        """Refuse sends that had come in, and what the device sends until the time it is told is over."""
        admission = self.admission
        wait_s = admission.accept_wait_s()
        refused = admission.refuse(device, reason, wait_s, monotonic(), _luck(), count)
        self._note(refused, began=admission.shed == count)
        return refused.error()

    def limit(self, device: str, wait_s: float) -> float:
        """A limiter stopped a device's sends; returns how long it is to wait."""
        return self.admission.limit(device, wait_s, monotonic(), _luck())

    def heard(self, host: str, message: m.Backlogs) -> None:
        """Take what a host says of its shards."""
        known = self._sequencer.shards
        shards = {n: _backlog(each) for n, each in message.shards.items() if n < known}
        ends = {number: self._sequencer.end_of(number) for number in shards}
        self.admission.backlogs.heard(host, message.served, shards, ends, monotonic())

    def deliver_wait_s(self) -> float:
        """Return how long a new record of the slowest shard would take to its actor."""
        return self.admission.backlogs.longest_s(monotonic())

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _left(self, item: SendRequest) -> None:
        self.admission.left(item.principal.device, item.size)

    def _shard_of(self, name: str) -> int | None:
        person = self._directory.peek(name.casefold())
        shards = self._sequencer.shards
        return None if person is None or not shards else shard_of(person.user, shards)

    def _note(self, refused: Rejection, *, began: bool) -> None:
        if began:
            inside = self.admission.inside
            log.warning("shedding_began", reason=refused.reason, inside=inside, wait_s=refused.wait_s)
        self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOOK_S, self._look, loop.time() + LOOK_S)

    def _look(self, due_s: float) -> None:
        self._timer = None
        admission, now_s = self.admission, monotonic()
        if admission.look(now_s, max(0.0, asyncio.get_running_loop().time() - due_s)):
            log.warning("shedding_ended", refused=admission.shed)
        self._sweep(now_s - admission.stalled_s())
        if admission.inside or admission.shedding_since_s is not None:
            self._arm()


def _backlog(told: m.ShardBacklog) -> Backlog:
    return Backlog(told.following, told.unhandled, told.unstored, told.size, told.age_ms / 1000)
