"""A person's own identity: who makes it, and what becomes of it when something breaks in between."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from roost.client import Client, MemoryKeystore, NotLinked, Options
from roost.cross_signing import is_cross_signed, verify_identity
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import DeviceSecrets
from roost.errors import RoostError
from tests.contract.small_server import SERVER_NAME, SmallServer

ME = f"@alice:{SERVER_NAME}"
ANOTHER = IdentitySecrets(b"a" * 32)


class Server(SmallServer):
    """Fails or comes too late, as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.url = ""
        self.down = False
        self.other_is_first = False

    async def identity(self, request: web.Request) -> web.Response:
        if self.down:
            return self.problem("unavailable")
        if self.other_is_first:
            self.publish_another()
        return await super().identity(request)

    def publish_another(self) -> None:
        tablet = DeviceSecrets.from_random(b"t" * 64)
        self.identities["alice"] = {
            "master_key": ANOTHER.master_key(ME, "TABLET", tablet),
            "self_signing_key": ANOTHER.self_signing_key(ME),
        }

    def master(self) -> bytes:
        found = self.identities["alice"]
        public = verify_identity(found["master_key"], found["self_signing_key"], ME)
        (bundle,) = self.bundles["alice"].values()
        assert is_cross_signed(bundle, ME, public.self_signing)
        return public.master


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = web.AppRunner(made.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def registered(server: Server, keystore: MemoryKeystore) -> None:
    await (await Client.register(server.url, "alice", "a password", keystore=keystore)).close()


async def resumed(keystore: MemoryKeystore, until: Any) -> Client:
    client = Client.resume(keystore, options=Options(on_event=lambda _: None))
    await client.start()
    async with asyncio.timeout(5):
        while not until(client):
            await asyncio.sleep(0.01)
    return client


async def test_the_first_device_makes_it_and_an_account_of_before_gets_it(server: Server) -> None:
    keystore = MemoryKeystore()
    await registered(server, keystore)
    first = server.master()
    profile = keystore.load()
    assert profile is not None
    assert profile.peers["alice"][profile.device_id].signed
    # As it was kept by a release before.
    profile.identity = None
    profile.identities.clear()
    server.identities.clear()
    client = await resumed(keystore, lambda client: client.linked and client.profile.identity.published)
    assert server.master() not in (b"", first)
    await client.close()


async def test_what_is_kept_is_what_is_published_in_the_end(server: Server) -> None:
    keystore = MemoryKeystore()
    server.down = True
    with pytest.raises(RoostError):
        await Client.register(server.url, "alice", "a password", keystore=keystore)
    profile = keystore.load()
    assert profile is not None
    assert profile.identity is not None
    kept = IdentitySecrets(profile.identity.master).public.master
    server.down = False
    client = await resumed(keystore, lambda client: client.profile.identity.published)
    assert server.master() == kept
    await client.close()


@pytest.mark.parametrize("late", [False, True])
async def test_a_later_device_is_not_linked_by_its_password(server: Server, late: bool) -> None:  # noqa: FBT001
    server.other_is_first = late
    if not late:
        server.publish_another()
    client = await Client.register(server.url, "alice", "a password")
    assert not client.linked
    assert client.profile.identity is None
    assert client.profile.identities["alice"].keys is not None
    assert client.profile.identities["alice"].keys.master == ANOTHER.public.master
    assert not client.profile.identities["alice"].verified
    with pytest.raises(NotLinked):
        await client.link(client.link_code())
    await client.close()
