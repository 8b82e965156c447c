"""People with one device of the SDK each, further devices by hand, and what may stand in front of them."""

import json
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from roost import client as sdk
from roost.crypto import DeviceSecrets
from roost.crypto.keys import device_keys
from roost.ids import address_of
from tests.field.front import Front
from tests.live.app import PASSWORD
from tests.live.waiting import until

SHOWN = 8


def calm(count: int) -> bytes:
    """Random bytes, but for the pauses between connections: those are the shortest."""
    return bytes(2) if count == 2 else secrets.token_bytes(count)


class Person:
    """A user's device with all that its app was told."""

    def __init__(self, server: str, http: aiohttp.ClientSession, name: str, **options: Any) -> None:
        self.server, self.http, self.name = server, http, name
        self.told: list[sdk.Event] = []
        self.keystore: sdk.Keystore = sdk.MemoryKeystore()
        self.options = sdk.Options(on_event=self.told.append, random=calm, **options)
        self.client: sdk.Client

    async def join(self, *, new: bool = True) -> "Person":
        enter = sdk.Client.register if new else sdk.Client.login
        made = await enter(
            self.server, self.name, PASSWORD, keystore=self.keystore, http=self.http, options=self.options
        )
        return await self.begin(made)

    async def again(self) -> "Person":
        await self.client.close()
        return await self.begin(sdk.Client.resume(self.keystore, http=self.http, options=self.options))

    async def begin(self, client: sdk.Client) -> "Person":
        self.client = client
        await client.start()
        await self.hears(lambda: client.connected, "a connection")
        return self

    async def hears(self, found: Callable[[], Any], what: str, within: float = 20) -> None:
        await until(lambda: "" if found() else f"no {what}; told: {self.told[-SHOWN:]}", within=within)

    def all(self, kind: type[sdk.Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.all(sdk.MessageReceived)]

    async def writes(self, to: "Person", text: str) -> str:
        message_id = await self.client.send(to.name, text)
        await to.hears(lambda: text in to.texts, text)
        return message_id

    async def device(self) -> "RawDevice":
        """Sign in on a further device, by hand."""
        body = {"username": self.name, "password": PASSWORD, "device": {"name": "raw"}}
        answer = await self.client.api.bare("POST", "/v1/sessions", body)
        return RawDevice(self, answer["device_id"], answer["access_token"])


class RawDevice:
    """A device without an SDK."""

    def __init__(self, owner: Person, device: str, token: str) -> None:
        self.device, self.token = device, token
        self.secrets = DeviceSecrets.from_random(secrets.token_bytes(64))
        self.address = address_of(owner.name, owner.client.profile.server_name)
        self._owner = owner

    def keys(self) -> dict[str, Any]:
        return device_keys(self.address, self.device, self.secrets)

    async def call(self, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url, data = self._owner.client.api.server + path, json.dumps(body)  # half surrogates and all
        async with self._owner.http.post(url, data=data, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def publish(self, **odd: Any) -> None:
        status, answer = await self.call("/v1/keys/upload", {"device_keys": self.keys() | odd})
        assert status == 200, answer


class World:
    """People of one test, closed at its end."""

    def __init__(self, server: str, http: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self.server, self.http, self.stack = server, http, stack

    async def person(self, server: str | None = None, **options: Any) -> Person:
        name = f"c{secrets.token_hex(5)}"
        person = await Person(server or self.server, self.http, name, **options).join()
        # The client may be another by then.
        self.stack.push_async_callback(lambda: person.client.close())  # noqa: PLW0108
        return person

    async def front(self, target: str | None = None, **options: Any) -> Front:
        return await self.stack.enter_async_context(Front(target or self.server, **options).running())
