"""The canary: two accounts of its own; a message from one to the other shows whether the system works."""

import asyncio
import secrets
from typing import Any, Final, Self

import aiohttp

from roost import client as sdk
from roost.clock import now_ms
from roost.errors import RoostError
from roost.ids import uuid7
from roost.wire import unpadded

_PATIENCE_S: Final = 3.0
_LOOK_EVERY_S: Final = 0.05
_SUITE: Final = "sealed.v1"


class Canary:
    """Sends without an outbox: what fails is not repeated, so that it shows how things are now."""

    def __init__(self, sender: sdk.Client, receiver: sdk.Client) -> None:
        self._sender, self._receiver = sender, receiver

    @classmethod
    async def hatch(cls, server: str, http: aiohttp.ClientSession) -> Self:
        """Make the accounts.

        Raises:
            RoostError: The server makes none.
        """
        name = f"canary_{secrets.token_hex(5)}"
        made = (
            sdk.Client.register(server, f"{name}_{side}", secrets.token_hex(16), http=http) for side in "ab"
        )
        return cls(*await asyncio.gather(*made))

    async def sings(self) -> str:
        """Return '' if a message sent now is accepted and then stored, else what happened."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._sent()
        except TimeoutError:
            return f"a message was not stored within {_PATIENCE_S:g} s"
        except RoostError as exc:
            return f"a message was not taken: {exc.code.word}: {exc.detail}"

    async def _sent(self) -> str:
        to, now = self._receiver.profile, now_ms()
        message_id = uuid7(now, secrets.token_bytes(10))
        payload = unpadded(secrets.token_bytes(64))
        body = {"id": message_id, "to": to.username, "sent_at_ms": now, "suite": _SUITE}
        body |= {"payloads": {to.device_id: payload}}
        api = self._sender.api
        await api.call("POST", "/v1/messages", body, timeout_s=_PATIENCE_S)
        state: dict[str, Any] = {"state": "accepted"}
        while state["state"] == "accepted":
            await asyncio.sleep(_LOOK_EVERY_S)
            state = await api.call("GET", f"/v1/messages/{message_id}", params={"to": to.username})
        return ""
