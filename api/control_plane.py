"""The way from a gateway to the coordinator, for operators who ask over HTTP."""

import asyncio
from typing import Any, Final, Protocol

from roost.errors import RoostError, Unavailable

_ANSWER_S: Final = 8.0


class ControlPlane(Protocol):
    """The coordinator, as `roost status`, `scale` and `drain` reach it."""

    async def status(self) -> dict[str, Any]:
        """Return what `roost status --json` prints; raises ``Unavailable`` if there is no answer."""
        ...

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        """Pass a request on, and return the answer; raises as `status` does."""
        ...


class NoControlPlane:
    """A gateway that was started alone."""

    async def status(self) -> dict[str, Any]:
        """There is no answer."""
        raise Unavailable("This gateway has no coordinator.")

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 -- no one hears it
        """There is no answer."""
        raise Unavailable("This gateway has no coordinator.")


class RayControlPlane:
    """The coordinator of the Ray cluster that this process is part of."""

    async def status(self) -> dict[str, Any]:
        """Ask for it."""
        return await self._ask(lambda handle: handle.status())

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        """Pass it on."""
        return await self._ask(lambda handle: handle.tell(message))

    async def _ask(self, call: Any) -> dict[str, Any]:
        from actors.ray_actor import RoleFailed, find  # noqa: PLC0415 -- a role's process has Ray, a test none
        from cluster.local.ray_head import COORDINATOR  # noqa: PLC0415 -- likewise

        try:
            async with asyncio.timeout(_ANSWER_S):
                # Looked up each time, and off the loop: it blocks while Ray's head is away.
                handle = await asyncio.to_thread(find, COORDINATOR, COORDINATOR)
                answer: dict[str, Any] = await call(handle)
        except TimeoutError as exc:
            raise Unavailable("The coordinator does not answer.") from exc
        except RoleFailed as exc:
            raise RoostError("internal", f"The coordinator failed: {exc}") from exc
        return answer
