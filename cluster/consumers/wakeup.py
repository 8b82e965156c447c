"""The way of one wake-up: claimed, so that a device has one at a time, then sent, retried or given up."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Final

import structlog

from cluster.consumers.provider import Again, Provider, PushRefused, Sent, Unregistered, Verdict
from roost.clock import Clock
from roost.errors import Unavailable
from roost.tasks import insist
from storage.account_rows import Device
from storage.cluster_rows import DeadLetter
from storage.ports import Cache, LogRecord, LogWriter, Store
from storage.records import PushRecord, decode_push
from storage.topics import PUSH, PUSH_DEAD
from telemetry import metrics

log = structlog.get_logger()

PENDING_S: Final = 600
"""How long a wake-up counts as pending when the device never comes."""

HELD_MOST_MS: Final = 60_000
"""No wake-up is held longer than this, whatever its host's clock said."""

_RETRY_S: Final = 0.5
_ANSWERS: Final = {Sent: "sent", Unregistered: "unregistered", Again: "again", PushRefused: "refused"}


class Waker:
    """Wakes devices, each through the provider that it registered with.

    Args:
        writer: Takes what is given up.
        store: Has the devices.
        cache: Has the marks of what is pending.
        providers: By the name that a push token has them under.
        clock: Unix time.
        random: For pauses.
    """

    def __init__(
        self,
        writer: LogWriter,
        store: Store,
        cache: Cache,
        providers: Mapping[str, Provider],
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._writer, self._store, self._cache = writer, store, cache
        self._providers, self._clock, self._random = providers, clock, random
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Hold no wake-up from now on."""
        self._hurried.set()

    async def wake(self, record: LogRecord, *, again: bool) -> str:
        """Wake the device of a record, whatever is away meanwhile; returns the outcome, in a word.

        Args:
            record: Of ``push``.
            again: It may have been begun before: that its wake-up is marked as pending says nothing.
        """
        tries = itertools.count()

        def call() -> Coroutine[Any, Any, str]:
            # A try that failed may have marked it, and have been unable to take that back.
            return self._wake_or_give_up(record, again=again or next(tries) > 0)

        return await insist(call, "wakeup_postponed", pauses=self._pauses())

    def _pauses(self) -> Iterator[float]:
        while True:
            yield _RETRY_S + self._random()

    async def _wake_or_give_up(self, record: LogRecord, *, again: bool) -> str:
        """Wake the device; what fails as nothing should must not hold up its shard without end."""
        try:
            return await self._wake(record, again=again)
        except Unavailable:
            raise
        except Exception as exc:
            log.exception("wakeup_failed", offset=record.offset)
            return await self._give_up(record, f"{type(exc).__name__}: {exc}")

    async def _wake(self, record: LogRecord, *, again: bool) -> str:
        try:
            push = decode_push(record.value)
        except (ValueError, RecursionError) as exc:
            return await self._give_up(record, f"the record cannot be decoded: {exc}")
        if await self._came_while_held(push):
            return "came"
        if not await self._claim(push.device) and not again and not push.fresh:
            return "pending"
        verdict: Sent | Unregistered | PushRefused | None = None
        try:
            verdict = await self._try(push)
        finally:
            if not isinstance(verdict, Sent):
                await self._unclaim(push.device)
        if isinstance(verdict, PushRefused):
            return await self._give_up(record, verdict.reason)
        due_ms = max(push.at_ms, push.not_before_ms)
        metrics.WAKEUP_SECONDS.observe(max(0, self._clock() - due_ms) / 1000)
        return "sent" if isinstance(verdict, Sent) else "unregistered" if verdict is not None else "no_token"

    async def _came_while_held(self, push: PushRecord) -> bool:
        """Wait until the wake-up is due; return whether the device acknowledged the message meanwhile."""
        if not push.not_before_ms:
            return False
        held_ms = min(push.not_before_ms - self._clock(), HELD_MOST_MS)  # the host's clock may be another one
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, held_ms) / 1000):
                await self._hurried.wait()
        cursors = await self._store.mailboxes.cursors_of([push.user])
        return cursors.get(push.user, {}).get(push.device, 0) >= push.seq > 0

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

    async def _try(self, push: PushRecord) -> Sent | Unregistered | PushRefused | None:
        """Send it as often as allowed; None if the device has no token, or no longer."""
        tried = 0
        while True:
            device = await self._device(push)
            if device is None:
                return None
            provider = self._providers.get(device.push_provider or "")
            if provider is None:
                return PushRefused(f"there are no credentials for {device.push_provider!r}")
            tried += 1
            verdict = await provider.send(device, urgent=push.urgent)
            _count(device.push_provider, verdict)
            if isinstance(verdict, Unregistered):
                await self._store.push_tokens.drop(push.user, push.device, device.push_token)
                log.info("push_token_dropped", device=push.device, reason=verdict.reason)
            if not isinstance(verdict, Again):
                return verdict
            retries = provider.retries
            if tried >= retries.attempts:
                return PushRefused(f"given up after {tried} tries: {verdict.reason}")
            metrics.WAKEUP_RETRIES.inc()
            await asyncio.sleep(retries.pause_s(tried, verdict.after_s, self._random()))

    async def _device(self, push: PushRecord) -> Device | None:
        """Return the device, None if it has no token, or the session that it goes with is over."""
        devices = (await self._store.accounts.devices_of([push.user])).get(push.user, [])
        device = next((each for each in devices if each.device == push.device), None)
        if device is None or device.push_token is None:
            return None
        if device.push_session is None:  # taken by a release of before; the coordinator has yet to adopt it
            return device
        session = await self._store.sessions.get(device.push_session)
        if session is not None and session.ended_at_ms is None and session.expires_at_ms > self._clock():
            return device
        if await self._store.push_tokens.drop(push.user, push.device, device.push_token):
            log.info("push_token_dropped", device=push.device, reason="its session is over")
        return None

    async def _give_up(self, record: LogRecord, reason: str) -> str:
        log.error("wakeup_given_up", offset=record.offset, reason=reason)
        letter = DeadLetter(PUSH, 0, record.offset, reason, record.value, self._clock())
        await self._store.cluster.keep_dead_letters([letter])
        [result] = await self._writer.append(PUSH_DEAD, [(0, record.value)])
        if isinstance(result, Exception):
            raise result
        return "dead"


def _count(provider: str | None, verdict: Verdict) -> None:
    metrics.PUSH_ANSWERS.labels(provider, _ANSWERS[type(verdict)]).inc()
