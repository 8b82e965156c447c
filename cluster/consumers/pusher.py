"""The pusher: reads wake-ups from the log and sees each one through.

A shard's offset is committed when everything below it is finished: sent, not needed, or given up and
kept in ``push.dead``. A wake-up that waits for its next try holds up its shard's commit, nothing else.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog

from actors.service import ClusterView
from cluster.consumers.push_rules import Again, Answer, Refused, Sent, Unregistered, judge, pause_s
from cluster.settings import Fcm
from roost.clock import Clock
from roost.errors import Unavailable
from storage.ports import Cache, LogLost, LogReader, LogRecord, LogWriter, Store
from storage.records import PushRecord, decode_push
from storage.topics import PUSH, PUSH_DEAD
from telemetry import metrics, traces

log = structlog.get_logger()

PENDING_S: Final = 600
"""How long a wake-up counts as pending when the device never comes."""

_POLL_MS: Final = 200
_POLL_RECORDS: Final = 500
_OPEN_LIMIT: Final = 10_000
_COMMIT_EVERY_S: Final = 0.5
_RETRY_S: Final = 0.5
_CHECK_S: Final = 0.1


class Sender(Protocol):
    """Carries a wake-up to a provider."""

    async def send(self, token: str, *, urgent: bool) -> Answer:
        """Send it and return what the provider said."""
        ...

    def renew(self) -> None:
        """Fetch a new credential before the next send."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Shard:
    """What of one shard is under way.

    Attributes:
        life: Of the shard's log (`ClusterView.pushes`).
        next: The next offset to be read.
        open: Offsets read and not finished.
        committed: The offset committed last.
        replayed_below: Records below this offset may have been begun by a pusher that died after it
            marked the wake-up as pending and before it sent it: the mark does not count for them.
    """

    def __init__(self, start: int, life: int) -> None:
        self.life = life
        self.next = start
        self.open: set[int] = set()
        self.committed = start
        self.replayed_below: int | None = None

    @property
    def finished(self) -> int:
        """Everything below this offset is finished."""
        return min(self.open, default=self.next)


class Pusher:
    """One member of the wake-up pool; see `actors.service.Service`."""

    def __init__(  # noqa: PLR0913 -- the servers underneath, by name
        self,
        name: str,
        *,
        reader: LogReader,
        writer: LogWriter,
        store: Store,
        cache: Cache,
        sender: Sender,
        settings: Fcm,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.name = name
        self._reader, self._writer, self._store, self._cache = reader, writer, store, cache
        self._sender, self._settings, self._clock, self._random = sender, settings, clock, random
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._view: ClusterView | None = None
        self._changed = asyncio.Event()
        self._shards: dict[int, Shard] = {}
        self._lost: set[int] = set()
        self._taken = 0
        self._before: ClusterView | None = None
        self._waking: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start reading as soon as there is a map."""
        self._loops = [
            asyncio.create_task(loop(), name=loop.__name__) for loop in (self._read, self._keep_committing)
        ]

    async def apply(self, view: ClusterView) -> None:
        """Take the newest map."""
        if self._view is None or view.version > self._view.version:
            self._view = view
            self._changed.set()

    async def hold(self) -> None:
        """A pusher writes nothing that would be lost with the log."""

    async def release(self) -> None:
        """See `hold`."""

    async def status(self) -> dict[str, Any]:
        """Return what is open, and whether everything in the log is finished."""
        ends = {shard: self._reader.end(shard) for shard in self._shards}
        known = {shard: end for shard, end in ends.items() if end is not None}
        lag = sum(self._lags().values())
        return {
            "shards": len(self._shards),
            "lag": lag,
            "open": len(self._waking),
            "ends": known,
            "stored": {shard: each.finished for shard, each in self._shards.items()},
            "map": self._taken,
            "drained": lag == 0 and len(known) == len(self._shards) and not self._changed.is_set(),
        }

    def _lags(self) -> dict[int, int]:
        """Return the records not finished of each shard whose end is known."""
        ends = {shard: self._reader.end(shard) for shard in self._shards}
        return {s: max(0, end - self._shards[s].finished) for s, end in ends.items() if end is not None}

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.WAKEUPS_OPEN.set(len(self._waking))
        metrics.show_lag(PUSH, self._lags())
        return metrics.exposition(metrics.READER, metrics.WRITER, metrics.PUSHER)

    async def stop(self) -> list[str]:
        """Commit what is finished and disconnect; returns what was given up.

        What is open is read again by whoever comes next.
        """
        given_up: list[str] = []
        for task in (*self._loops, *self._waking):
            task.cancel()
        await asyncio.gather(*self._loops, *self._waking, return_exceptions=True)
        try:
            await self._commit()
            await self._reader.close()
            await self._writer.close()
            await self._sender.close()
            await self._cache.close()
            await self._store.close()
        except Unavailable as exc:
            log.warning("not_closed", reason=exc.detail)
            given_up.append("could not write down which wake-ups are sent: some may be sent again.")
        return given_up

    # --- reading ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            try:
                if self._changed.is_set() and self._view is not None:
                    self._changed.clear()
                    await self._take_shards(self._view)
                await self._restart_lost()
                if not self._shards or len(self._waking) > _OPEN_LIMIT:
                    await asyncio.sleep(_CHECK_S)
                    continue
                found = await self._reader.poll(wait_ms=_POLL_MS, limit=_POLL_RECORDS)
                for shard, records in found.items():
                    self._begin(shard, records)
            except LogLost as exc:
                self._lost.update(exc.shards)
            except Unavailable as exc:
                log.warning("read_postponed", reason=exc.detail)
                self._changed.set()
                await asyncio.sleep(_RETRY_S)

    async def _take_shards(self, view: ClusterView) -> None:
        mine = {shard for shard, name in enumerate(view.pushers) if name == self.name}
        lives = dict(enumerate(view.pushes))
        anew = [s for s in mine & self._shards.keys() if self._shards[s].life != lives.get(s, 0)]
        if anew or view.renumbered(self._before):  # the consumer does not know partitions that were added
            await self._reader.begin_anew()
        self._before = view
        fresh = sorted(mine - self._shards.keys())
        committed = await self._reader.committed(fresh) if fresh else {}
        self._shards = {shard: each for shard, each in self._shards.items() if shard in mine}
        self._shards |= {shard: Shard(committed[shard] or 0, lives.get(shard, 0)) for shard in fresh}
        self._shards |= {shard: Shard(0, lives.get(shard, 0)) for shard in anew}
        await self._reader.assign({shard: each.next for shard, each in self._shards.items()})
        self._taken = view.version

    async def _restart_lost(self) -> None:
        """Read a log that began anew, or was trimmed, from where it begins now.

        The first happens when the coordinator makes the log anew. Wake-ups are hints: what a trimmed log
        lost is made good by the device's next sync.
        """
        ours = [shard for shard in self._lost if shard in self._shards]
        if not ours:
            return
        await self._reader.begin_anew()
        starts = await self._reader.starts(ours)
        for shard, start in starts.items():
            log.warning("push_log_restarted", shard=shard, position=self._shards[shard].next, start=start)
            self._shards[shard] = Shard(start, self._shards[shard].life)
        await self._reader.assign({s: each.next for s, each in self._shards.items()})
        self._lost.clear()

    def _begin(self, shard: int, records: Sequence[LogRecord]) -> None:
        place = self._shards.get(shard)
        if place is None:
            return
        if place.replayed_below is None:
            place.replayed_below = self._reader.end(shard) or records[-1].offset + 1
        for record in records:
            place.open.add(record.offset)
            task = asyncio.create_task(self._finish(place, record), name=f"wake-up {shard}/{record.offset}")
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
        place.next = records[-1].offset + 1

    # --- one wake-up ------------------------------------------------------------------------------

    async def _finish(self, place: Shard, record: LogRecord) -> None:
        """See one record through, whatever is away meanwhile, and mark it finished."""
        began = traces.tracer.now() if traces.tracer is not None else 0
        while True:
            try:
                outcome = await self._wake(record, again=record.offset < (place.replayed_below or 0))
            except Unavailable as exc:
                log.warning("wakeup_postponed", reason=exc.detail)
                await asyncio.sleep(_RETRY_S + self._random())
                continue
            metrics.WAKEUPS.labels(outcome).inc()
            if traces.tracer is not None:
                _trace(traces.tracer, record.value, began, outcome)
            place.open.discard(record.offset)
            return

    async def _wake(self, record: LogRecord, *, again: bool) -> str:
        try:
            push = decode_push(record.value)
        except ValueError as exc:
            return await self._give_up(record, f"the record cannot be decoded: {exc}")
        if not await self._claim(push.device) and not again:
            return "pending"
        verdict: Sent | Unregistered | Refused | None = None
        try:
            verdict = await self._try(push)
        finally:
            if not isinstance(verdict, Sent):
                await self._unclaim(push.device)
        if isinstance(verdict, Refused):
            return await self._give_up(record, verdict.reason)
        metrics.WAKEUP_SECONDS.observe(max(0, self._clock() - push.at_ms) / 1000)
        return "sent" if isinstance(verdict, Sent) else "unregistered" if verdict is not None else "no_token"

    async def _claim(self, device: str) -> bool:
        """Mark the wake-up as pending; without the cache, two wake-ups are better than none."""
        try:
            return await self._cache.claim_wakeup(device, PENDING_S, self._clock())
        except Unavailable as exc:
            log.warning("claim_skipped", reason=exc.detail)
            return True

    async def _unclaim(self, device: str) -> None:
        try:
            await self._cache.clear_wakeups([device])
        except Unavailable as exc:
            log.warning("mark_stays", reason=exc.detail, ends_after_s=PENDING_S)

    async def _try(self, push: PushRecord) -> Sent | Unregistered | Refused | None:
        """Send it as often as allowed; None if the device has no token (any more)."""
        reason = ""
        for tried in range(1, self._settings.attempts + 1):
            token = await self._token(push)
            if token is None:
                return None
            async with self._slots:
                answer = await self._sender.send(token, urgent=push.urgent)
            verdict = judge(answer)
            if isinstance(verdict, Unregistered):
                await self._store.accounts.drop_push_token(push.user, push.device, token)
                log.info("push_token_dropped", device=push.device)
            if not isinstance(verdict, Again):
                return verdict
            reason = f"{answer.status} {answer.code} {answer.text}".strip()
            if verdict.renew:
                self._sender.renew()
            if tried < self._settings.attempts:
                metrics.WAKEUP_RETRIES.inc()
                await asyncio.sleep(self._pause(tried, verdict.after_s))
        return Refused(f"given up after {self._settings.attempts} tries: {reason}")

    async def _token(self, push: PushRecord) -> str | None:
        devices = (await self._store.accounts.devices_of([push.user])).get(push.user, [])
        return next((each.push_token for each in devices if each.device == push.device), None)

    def _pause(self, tried: int, advised_s: float | None) -> float:
        return pause_s(
            tried, self._settings.backoff_s, self._settings.backoff_max_s, advised_s, self._random()
        )

    async def _give_up(self, record: LogRecord, reason: str) -> str:
        log.error("wakeup_given_up", offset=record.offset, reason=reason)
        [result] = await self._writer.append(PUSH_DEAD, [(0, record.value)])
        if isinstance(result, Exception):
            raise result
        return "dead"

    # --- committing -------------------------------------------------------------------------------

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_EVERY_S)
            try:
                await self._commit()
            except Unavailable as exc:
                log.warning("commit_postponed", reason=exc.detail)

    async def _commit(self) -> None:
        news = {
            s: (each, each.finished) for s, each in self._shards.items() if each.finished > each.committed
        }
        if not news:
            return
        await self._reader.commit({shard: finished for shard, (_, finished) in news.items()})
        for each, finished in news.values():  # not by shard: its log may have begun anew meanwhile
            each.committed = max(each.committed, finished)


def _trace(tracer: traces.Tracer, value: bytes, began_ns: int, outcome: str) -> None:
    try:
        cause = decode_push(value).cause
    except ValueError:
        return  # it is among the dead, with the reason
    tracer.span(traces.PUSH, cause, began_ns, outcome=outcome)
