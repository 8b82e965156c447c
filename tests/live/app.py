"""One device and what its app was told, for tests that follow single messages."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import aiohttp

from roost import client as sdk
from tests.live.waiting import until

PASSWORD: Final = "correct horse battery staple"

Kind = TypeVar("Kind", bound=sdk.Event)


class App:
    """A device of a user, signed in by `join`.

    Attributes:
        told: What its app was told, in order.
    """

    def __init__(self, server: str, name: str, http: aiohttp.ClientSession) -> None:
        self.server, self.name, self.http = server, name, http
        self.told: list[sdk.Event] = []
        self.client: sdk.Client
        self._keystore = sdk.MemoryKeystore()

    async def join(self, *, new: bool = True) -> "App":
        """Register the user, or sign in on a further device, and connect."""
        enter = sdk.Client.register if new else sdk.Client.login
        self.client = await enter(
            self.server,
            self.name,
            PASSWORD,
            keystore=self._keystore,
            http=self.http,
            options=self._options(),
        )
        await self.client.start()
        await self.gets(lambda: self.client.connected, "a connection")
        return self

    async def leave(self) -> None:
        """End the app; what it has is in the keystore."""
        await self.client.close()

    async def come_back(self) -> None:
        """Start the app again with its keystore."""
        self.client = sdk.Client.resume(self._keystore, http=self.http, options=self._options())
        await self.client.start()

    @property
    def device(self) -> str:
        """Its id."""
        return self.client.profile.device_id

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return all events of a kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def texts(self, by: str | None = None) -> list[str]:
        """Return the messages that came, of everyone or of one user."""
        return [each.text for each in self.all(sdk.MessageReceived) if by in (None, each.peer)]

    async def gets(self, found: Callable[[], Any], what: str, within: float = 30) -> None:
        """Wait until it was told."""
        await until(lambda: "" if found() else f"{what} has not come; told: {self.told[-8:]}", within=within)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the HTTP API."""
        return await self.client.api.call(method, path, body)

    def _options(self) -> sdk.Options:
        return sdk.Options(on_event=self.told.append)
