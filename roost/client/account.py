"""Account, session and published keys: the steps before a client can start."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from roost.client.core.directory import Directory
from roost.client.keystore import Keystore
from roost.client.own_identity import OwnIdentityKeeper
from roost.client.state import Pin, Profile
from roost.client.transport.answers import Empty, NotRoost, SessionAnswer
from roost.client.transport.device_proof import DeviceProof
from roost.client.transport.http import Api
from roost.client.transport.keys import KeyCalls
from roost.crypto.keys import ONE_TIME_KEY, DeviceSecrets, device_keys, public_half, signed_key
from roost.ids import address_of, fold_username
from roost.wire import unpadded


class _Account(Struct):
    username: str


class _Uploaded(Struct):
    one_time_key_counts: dict[str, int]


async def register(api: Api, username: str, password: str, **profile: str) -> None:
    """Create the account.

    Raises:
        RoostError: ``username_taken``, or a field is malformed.
    """
    body = {"username": fold_username(username), "password": password, **profile}
    await api.bare("POST", "/v1/accounts", body, shape=_Account)


async def sign_in(
    api: Api,
    username: str,
    password: str,
    *,
    keystore: Keystore,
    device_name: str,
    random: Callable[[int], bytes],
) -> Profile:
    """Start a session, whose refreshes the device signs; a profile of this user stays the same device.

    Raises:
        RoostError: ``bad_credentials``, or the known device is gone.
    """
    username = fold_username(username)
    known = keystore.load()
    if known is not None and (known.server != api.server or known.username != username):
        raise ValueError("the keystore holds the profile of another user or server: use another one")
    secrets = (
        DeviceSecrets.from_random(random(64))
        if known is None
        else DeviceSecrets(known.curve25519, known.ed25519)
    )
    body: dict[str, Any] = {"username": username, "password": password, "signed_refresh": True}
    body["signing_key"] = unpadded(secrets.ed25519_public)
    body |= {"device_id": known.device_id} if known is not None else {"device": {"name": device_name}}
    answer = await api.bare("POST", "/v1/sessions", body, shape=SessionAnswer)
    profile = known or _new_profile(api.server, answer, secrets, random(32))
    api.tokens, api.proof = profile.tokens, DeviceProof(profile)
    api.adopt(answer)
    keystore.save(profile)
    return profile


async def remove_device(api: Api, username: str, password: str, device_id: str) -> None:
    """Log in as a device of the account, which ends its session, and remove it.

    Raises:
        RoostError: ``bad_credentials``, or ``unknown_device``.
    """
    body = {"username": fold_username(username), "password": password, "device_id": device_id}
    answer: SessionAnswer = await api.bare("POST", "/v1/sessions", body, shape=SessionAnswer)
    path = f"/v1/devices/{quote(device_id, safe='')}"
    await api.bare("DELETE", path, token=answer.access_token, shape=Empty)


async def publish_keys(api: Api, profile: Profile, keystore: Keystore) -> None:
    """Upload this device's signed bundle and fallback key, once; a repeat is harmless."""
    if profile.published:
        return
    address = address_of(profile.username, profile.server_name)
    secrets = DeviceSecrets(profile.curve25519, profile.ed25519)
    body = {
        "device_keys": device_keys(address, profile.device_id, secrets),
        "fallback_keys": _signed_fallback(profile),
    }
    await api.call("POST", "/v1/keys/upload", body, shape=_Uploaded)
    profile.published = True
    keystore.save(profile)


async def publish_identity(
    api: Api, profile: Profile, keystore: Keystore, *, random: Callable[[int], bytes]
) -> None:
    """Make this person's identity and publish it, if the person has none; a repeat is harmless."""
    directory = Directory(profile.server_name, profile.peers, profile.identities)
    calls = KeyCalls(api, profile.server_name)
    await OwnIdentityKeeper(profile, directory, calls, lambda: keystore.save(profile), random).ensure()


async def renew_fallback(
    api: Api, profile: Profile, random: Callable[[int], bytes], save: Callable[[], Awaitable[None]]
) -> None:
    """Upload another fallback key in place of one that was given out; the one before is kept."""
    profile.fallback_before, profile.fallback = profile.fallback, random(32)
    await save()
    body = {"fallback_keys": _signed_fallback(profile)}
    await api.call("POST", "/v1/keys/upload", body, shape=_Uploaded)


def _signed_fallback(profile: Profile) -> dict[str, Any]:
    """Return the fallback key by its id, which is a part of the key: no two have the same."""
    address = address_of(profile.username, profile.server_name)
    secrets = DeviceSecrets(profile.curve25519, profile.ed25519)
    fallback = public_half(profile.fallback)
    key = signed_key(fallback, address, profile.device_id, secrets, fallback=True)
    return {f"{ONE_TIME_KEY}:{unpadded(fallback[:8])}": key}


def _new_profile(server: str, answer: SessionAnswer, secrets: DeviceSecrets, fallback: bytes) -> Profile:
    profile = Profile(
        server=server,
        server_name=_issuer(server, answer.access_token),
        username=answer.username,
        user_id=answer.user_id,
        device_id=answer.device_id,
        curve25519=secrets.curve25519,
        ed25519=secrets.ed25519,
        fallback=fallback,
    )
    # Pinned like a peer's, so that another device of this user shows up as an event.
    own = Pin(secrets.curve25519_public, secrets.ed25519_public)
    profile.peers[profile.username] = {profile.device_id: own}
    return profile


class _Claims(Struct):
    iss: str


def _issuer(server: str, token: str) -> str:
    # The issuer of a token is the server's name; it is only read, the server is who checks it.
    try:
        claims = token.split(".")[1]
        text = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
        return msgspec.json.decode(text, type=_Claims).iss
    except (IndexError, ValueError) as exc:
        raise NotRoost(f"{server} gave a token that is none: is this its address?") from exc
