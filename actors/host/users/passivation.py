"""Lets go of the actors that nothing has concerned for a while."""

import structlog

from actors.host.runtime import Runtime
from actors.host.users.residents import Resident, Residents
from actors.host.users.snapshots import Snapshots
from actors.user import events as ev
from roost.clock import Clock
from telemetry import metrics

log = structlog.get_logger()


class Passivation:
    """Sweeps over the users.

    Args:
        residents: The users.
        snapshots: Of those who go.
        clock: Unix milliseconds.
        runtime: Waits between sweeps.
        idle_ms: Who had nothing to handle for so long goes, if its actor is idle.
        every_s: Seconds between sweeps.
    """

    def __init__(
        self,
        residents: Residents,
        snapshots: Snapshots,
        clock: Clock,
        runtime: Runtime,
        *,
        idle_ms: int,
        every_s: float,
    ) -> None:
        self._residents, self._snapshots = residents, snapshots
        self._clock, self._runtime = clock, runtime
        self._idle_ms, self._every_s = idle_ms, every_s

    async def run(self) -> None:
        """Sweep from time to time."""
        while True:
            await self._runtime.sleep(self._every_s)
            limit = self._clock() - self._idle_ms
            snapshots: dict[str, ev.Loaded] = {}
            for user, resident in self._residents.items():
                if resident.touched_ms <= limit and (snapshot := self._tried(user, resident)) is not None:
                    snapshots[user] = snapshot
            if snapshots:
                metrics.PASSIVATIONS.inc(len(snapshots))
                await self._snapshots.put(snapshots)

    def _tried(self, user: str, resident: Resident) -> ev.Loaded | None:
        """Let go of an actor; one that cannot be let go must not keep all others here."""
        try:
            return self.passivate(user, resident)
        except Exception:
            log.exception("passivation_failed", user=user)
            resident.touched_ms = self._clock()
            return None

    def passivate(self, user: str, resident: Resident) -> ev.Loaded | None:
        """Let go of an actor if it is idle; returns its snapshot."""
        actor = resident.actor
        if actor is None or resident.waiting or resident.inbox:
            return None
        actor.release(resident.shard.stored_seq)
        if not actor.idle:
            return None
        snapshot = actor.snapshot()
        self._residents.remove(user)
        return snapshot
