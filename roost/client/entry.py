"""The ways into a client: a new account, a new device, or the device that a keystore has."""

from typing import NamedTuple

import aiohttp

from roost.client import account
from roost.client.connections import connections
from roost.client.keystore import Keystore, MemoryKeystore
from roost.client.options import Options
from roost.client.state import Profile
from roost.client.transport.device_proof import DeviceProof
from roost.client.transport.http import Api


class Entered(NamedTuple):
    """A device that is signed in, with its claim on the keystore.

    Attributes:
        profile: The device.
        keystore: Where it is kept.
        api: Authenticated calls.
        options: How the client behaves.
        owns_http: Whether the connections are the client's own, to be closed with it.
    """

    profile: Profile
    keystore: Keystore
    api: Api
    options: Options
    owns_http: bool


async def enter(
    server: str,
    username: str,
    password: str,
    keystore: Keystore | None,
    http: aiohttp.ClientSession | None,
    options: Options | None,
    *,
    new: bool,
) -> Entered:
    """Sign in, to a ``new`` account or an old one; raises as `Client.register` and `Client.login` do."""
    options = options or Options()
    keystore = keystore or MemoryKeystore()
    keystore.lock()
    shared = http or connections(options.ca)
    try:
        api = Api(server, shared, options.clock, elapsed=options.elapsed)
        if new:
            await account.register(api, username, password)
        profile = await account.sign_in(
            api,
            username,
            password,
            keystore=keystore,
            device_name=options.device_name,
            random=options.random,
        )
        await account.publish_keys(api, profile, keystore)
        await account.publish_identity(api, profile, keystore, random=options.random)
    except BaseException:
        keystore.unlock()
        if http is None:
            await shared.close()
        raise
    profile.state.clock_offset_ms = api.time.offset_ms
    return Entered(profile, keystore, api, options, owns_http=http is None)


async def make_room(
    server: str,
    username: str,
    password: str,
    device_id: str,
    http: aiohttp.ClientSession | None,
    options: Options | None,
) -> None:
    """Remove a device of an account; raises as `Client.make_room` does."""
    options = options or Options()
    shared = http or connections(options.ca)
    try:
        api = Api(server, shared, options.clock, elapsed=options.elapsed)
        await account.remove_device(api, username, password, device_id)
    finally:
        if http is None:
            await shared.close()


def resume(keystore: Keystore, http: aiohttp.ClientSession | None, options: Options | None) -> Entered:
    """Go on as the device in the keystore; raises as `Client.resume` does."""
    options = options or Options()
    keystore.lock()
    try:
        profile = _loaded(keystore)
    except BaseException:
        keystore.unlock()
        raise
    shared = http or connections(options.ca)
    api = Api(profile.server, shared, options.clock, profile.tokens, elapsed=options.elapsed)
    api.proof = DeviceProof(profile)
    return Entered(profile, keystore, api, options, owns_http=http is None)


def _loaded(keystore: Keystore) -> Profile:
    profile = keystore.load()
    if profile is None:
        raise ValueError("the keystore is empty: sign in first")
    return profile
