"""The coordinator as `roost up` sees it, through Ray's head: it outlives both, which are started again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog

from cluster.control import stop_report
from cluster.local.head import RayHead
from cluster.log.unfinished import Unfinished
from cluster.settings import Settings
from roost.errors import Unavailable

_AGAIN_S: Final = 0.1
_RESTART_AGAIN_S: Final = 1.0
_ASK_EVERY_S: Final = 1.0
_SILENT_S: Final = 30.0
_PAUSED_WITHIN_S: Final = 10.0

log = structlog.get_logger()


class LocalCoordinator:
    """The coordinator of this machine's system, and the Ray that it runs in.

    Args:
        settings: Their data folder and their number of roles do not change.
        held: Descriptors that are kept open until the last process of Ray's has ended.
    """

    def __init__(self, settings: Settings, held: Sequence[int] = ()) -> None:
        self._data, self._cluster, self._held = settings.data, settings.cluster, held
        self._node = settings.node
        self._head = RayHead(self._data, self._cluster, held, self._node)
        self._settings_json: str | None = None

    @property
    def address(self) -> str:
        """Address of the Ray cluster, once started."""
        return self._head.address

    async def start_ray(self) -> None:
        """Start Ray; raises ``Unavailable`` if it does not come up."""
        await self._head.start()

    async def spawn(self, settings: Settings) -> None:
        """Start the coordinator, which starts the roles."""
        self._settings_json = settings.model_dump_json()
        await self._head.spawn(self._settings_json)

    async def status(self) -> dict[str, Any]:
        """Return what the coordinator says; raises ``Unavailable`` if it, or Ray, is away."""
        return await self._head.status()

    # --- Ray died ---------------------------------------------------------------------------------

    async def ray_died(self, within_s: float) -> bool:
        """Return whether Ray is gone, as soon as it is, or when that time is over."""
        try:
            async with asyncio.timeout(within_s):
                await self._head.wait()
        except TimeoutError:
            return False
        return True

    async def restart_ray(self) -> None:
        """Start Ray and every role from scratch. The servers stay, and with them everything accepted."""
        assert self._settings_json is not None  # noqa: S101 -- spawned before
        while True:
            log.error("ray_died")
            await self._head.end()
            self._head = RayHead(self._data, self._cluster, self._held, self._node)
            try:
                await self._head.start()
                await self._head.spawn(self._settings_json)
            except Unavailable as exc:
                log.warning("ray_not_restarted", reason=exc.detail)
                await asyncio.sleep(_RESTART_AGAIN_S)
                continue
            log.warning("ray_restarted", address=self._head.address)
            return

    # --- the embedded servers -------------------------------------------------------------------

    async def tell_servers(self, rows: list[dict[str, Any]]) -> None:
        """Tell it of the embedded servers, for its status."""
        try:
            await self._head.tell({"act": "servers", "rows": rows})
        except Unavailable as exc:
            log.warning("coordinator_away", reason=exc.detail)

    async def tell_log_away(self) -> None:
        """Have every role paused, if that comes about soon: a log that stays away helps no one either."""
        deadline = asyncio.get_running_loop().time() + _PAUSED_WITHIN_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                await self._head.tell({"act": "log_away"})
            except Unavailable:
                await asyncio.sleep(_AGAIN_S)
            else:
                return
        log.error("writes_not_paused", waited_s=_PAUSED_WITHIN_S)

    async def tell_log_lost(self) -> None:
        """Tell it that the log has begun again, as soon as it listens."""
        while True:
            try:
                await self._head.tell({"act": "log_lost"})
            except Unavailable:
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    # --- the stop -------------------------------------------------------------------------------

    async def stop_roles(self, shards: int, *, kept: bool, within_s: float | None = None) -> list[str]:
        """Stop the roles in order, and return what was given up, a sentence each.

        Args:
            shards: How many there are.
            kept: The log keeps what is not stored.
            within_s: How long that may take; None: as long as it answers.
        """
        if self._settings_json is None:
            return []  # none was started
        stopping = asyncio.create_task(self._head.stop_roles(kept=kept))
        try:
            async with asyncio.timeout(within_s):
                await self._while_it_answers(stopping)
            return await stopping
        except TimeoutError:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
            return ["The roles were ended before they had stopped in order."]
        except Unavailable as exc:
            log.error("stop_incomplete", reason=exc.detail)  # noqa: TRY400 -- a sentence
            unknown = Unfinished({}, dict.fromkeys(range(shards), "the coordinator"))
            return [
                f"The roles did not stop in order: {exc.detail}",
                *stop_report.stop_report("router", unknown, kept=kept),
            ]

    async def end_ray(self, *, at_once: bool = False) -> list[str]:
        """End Ray; returns a sentence if that took force, and that was not wanted."""
        if at_once:
            await self._head.end(within_s=0)
            return []
        forced = await self._head.end()
        return ["Ray did not end by itself, and was ended by force."] if forced else []

    async def _while_it_answers(self, work: "asyncio.Task[Any]") -> None:
        """Return when its work is done; raises ``Unavailable`` if it has long been silent."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while not (await asyncio.wait([work], timeout=_ASK_EVERY_S))[0]:
            try:
                await self._head.status()
                heard = loop.time()
            except Unavailable:
                if loop.time() - heard > _SILENT_S:
                    work.cancel()
                    raise
