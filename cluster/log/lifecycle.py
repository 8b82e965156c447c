"""The lifecycle of the log: opened, recreated when it is full (embedded) or lost, given more shards.

Only the coordinator's process runs this, one change at a time. Whatever the topics go through, no role writes
from before it until every role has the bases of after it.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Final, Protocol

import structlog

from cluster.log.growth import NotGrown, not_stored
from cluster.log.topics import LogTopics
from roost.errors import Unavailable
from roost.tasks import insist
from storage.topics import MAILBOX, PUSH

_DRAIN_S: Final = 4.0
"""For all of the draining: less than the 10 s after which a message that waits is refused.

The embedded broker now and then shows its newest batch only when the next one is written. While all writes
are paused it never does, so waiting longer does not help; the renewal is tried again later.
"""

_GROWTH_DRAIN_S: Final = 10.0
"""The same before shards are added: an operator waits for it, and senders are told when to come again."""

_LOOK_EVERY_S: Final = 0.1

log = structlog.get_logger()


class LogClients(Protocol):
    """The living roles, as the log's lifecycle needs them."""

    def incarnations(self) -> dict[str, str]:
        """Return the incarnation of every writer, by name."""
        ...

    async def pause_writes(self, role: str) -> bool:
        """Pause every writer of the role; False if one did not answer."""
        ...

    async def resume_writes(self) -> None:
        """Resume every writer that answers."""
        ...

    async def caught_up(self, role: str) -> bool:
        """Return whether every reader of the role has finished all that is in its log."""
        ...

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        """Have hosts store what they have of the logs before; returns when those who answer have."""
        ...

    async def publish(self) -> None:
        """Show every role the new bases, and return when they have them."""
        ...

    @property
    def shards(self) -> int:
        """Number of shards of the map that every role is shown."""
        ...


class LogLifecycle:
    """Every change of the log.

    Args:
        topics: Its topics and bases.
        clients: Who writes and reads it.

    Attributes:
        topics: Likewise.
        paused: Writes are paused right now.
    """

    def __init__(self, topics: LogTopics, clients: LogClients) -> None:
        self.topics, self._clients = topics, clients
        self.paused = False
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Find the log, or make it; raises as `LogTopics.open` does."""
        async with self._lock:
            await self.topics.open()

    async def renew(self) -> bool:
        """Remake the log after everything in it was stored; False if that did not come about in time."""
        async with self._lock:
            self.paused = True
            try:
                return await self._renew()
            finally:
                await self._resume()

    async def grow(self, shards: int, tell: Callable[[str], None]) -> None:
        """Add shards after everything in the log was stored; what is in the present ones stays where it is.

        Once it is written down it is finished, whatever happens: by the next coordinator if need be. No role
        writes before, since the number of shards says where a user's records belong: a failure after that
        leaves all writes paused.

        Args:
            shards: The number there is to be, as `cluster.log.growth.refusal` allows it.
            tell: Takes what is being done.

        Raises:
            NotGrown: Nothing was changed.
        """
        async with self._lock:
            await self.topics.check_growth(shards)
            self.paused = True
            async with AsyncExitStack() as unless_decided:
                unless_decided.push_async_callback(self._resume)
                tell("pausing writes until everything in the log is stored")
                await self._stored_or_not_grown()
                unless_decided.pop_all()
            tell(f"making {shards - self.topics.shards} shards")
            await _insist(lambda: self.topics.grow(shards))
            self.topics.show()
            tell("showing every role the new map")
            await _insist(self._shown)
            await self._resume()

    async def away(self) -> None:
        """Pause all writes, because the log's server is gone and will be back empty; `lost` resumes them.

        The embedded broker shows a topic before it has finished making it. What is written in between it
        confirms and then loses, or hides behind what comes later.
        """
        self.paused = True
        await asyncio.gather(*(self._clients.pause_writes(role) for role in ("gateway", "host")))

    async def lost(self, shards: Iterable[int] = ()) -> None:
        """The log, or these shards of it, starts over: raise the bases, make topics that are gone.

        If it is there, no role is paused: a gateway that sees offsets go backwards reads the base by itself.
        A shard whose first records are not there any more is read from what is left. Its base rises as well,
        so that who sent something with a number below is told that no one knows it, and sends it again.
        """
        async with self._lock:
            gone = await self.topics.are_gone()
            if gone:
                await self.away()
            affected = set(range(self.topics.shards)) if gone else set(shards)
            if affected:
                await self._clients.end_logs(await self.topics.lose(affected, gone=gone))
            await self.topics.make_good(gone=gone)
            await self._clients.publish()
            if self.paused:
                await self._resume()

    @property
    def busy(self) -> bool:
        """Whether a change is being made."""
        return self._lock.locked()

    async def finished(self, within_s: float) -> bool:
        """Wait until no change is being made; False if that takes too long."""
        try:
            async with asyncio.timeout(within_s), self._lock:
                return True
        except TimeoutError:
            return False

    # --- steps ------------------------------------------------------------------------------------

    async def _renew(self) -> bool:
        before = self._clients.incarnations()
        deadline = asyncio.get_running_loop().time() + _DRAIN_S
        if reason := await self._drain(deadline):
            log.info("log_renewal_postponed", reason=reason)
            return False
        pushed = await _until(deadline, lambda: self._clients.caught_up("pusher"))
        topics = [MAILBOX, PUSH] if pushed else [MAILBOX]
        if self._clients.incarnations() != before:
            log.info("log_renewal_postponed", reason="a writer restarted meanwhile")
            return False
        await self.topics.begin_remaking()
        # From here on no role may write before the new topics are there: what went into the old ones
        # would be deleted. So this is tried until it is done, with all writes paused.
        await _insist(lambda: self.topics.remake(topics, "full"))
        self.topics.show()
        await self._clients.publish()
        return True

    async def _drain(self, deadline: float) -> str:
        """Pause gateways, let hosts write the receipts and wake-ups that follow, then pause them, too.

        Returns:
            Why it did not come about, '' if it did.
        """
        for role in ("gateway", "host"):
            if not await self._clients.pause_writes(role):
                return f"a {role} does not answer"
            if not await _until(deadline, lambda: self._clients.caught_up("router")):
                return "it does not run empty"
        return ""

    async def _stored_or_not_grown(self) -> None:
        """Pause all who write until everything is stored, and until that is what is known of it.

        A router begins again at the offset in MongoDB, which is up to a second behind. What it read once more
        would be on a shard that is no longer its recipient's.
        """
        before = self._clients.incarnations()
        deadline = asyncio.get_running_loop().time() + _GROWTH_DRAIN_S
        reason = await self._drain(deadline)
        if not reason and not await _until(deadline, self._all_stored):
            reason = "MongoDB does not say so"
        if not reason and self._clients.incarnations() != before:
            reason = "a gateway or host restarted meanwhile"
        if reason:
            left = await self.topics.unstored()
            log.warning("shards_not_added", reason=reason, left=left)
            raise NotGrown(not_stored(_GROWTH_DRAIN_S, reason, left))

    async def _all_stored(self) -> bool:
        return not await self.topics.unstored()

    async def _shown(self) -> None:
        await self._clients.publish()
        if self._clients.shards != self.topics.shards:
            raise Unavailable("The new map could not be drawn yet.")

    async def _resume(self) -> None:
        self.paused = False
        await self._clients.resume_writes()


async def _insist(call: Callable[[], Awaitable[None]]) -> None:
    await insist(call, "log_renewal_delayed", pauses=itertools.repeat(_LOOK_EVERY_S * 5))


async def _until(deadline: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True
