"""A person's identity keys, in the shapes of Matrix cross-signing, and their signatures under devices."""

from fastapi import APIRouter, Request

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With, network_of
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.identities import IdentityUpload, SignaturesUpload, Uploaded
from api.identity.cross_signing import Published, check_signatures, identity_of, published_identity
from api.identity.tokens import Principal
from roost.errors import RoostError
from roost.ids import address_of
from storage.account_rows import Device, StoredIdentity, User

router = APIRouter(route_class=ApiRoute, tags=["keys"])
_MINE = ("unauthenticated", "revoked", "rate_limited")
_BAD = ("invalid_signature", "key_conflict", "unknown_device", "too_large")


@router.post(
    "/v1/keys/device_signing/upload", responses=responses(*_MINE, *_BAD, "identity_exists", "bad_credentials")
)
async def upload_identity(
    body: IdentityUpload, request: Request, caller: Caller, collaborators: With
) -> Uploaded:
    """Upload the caller's identity: a master key signed by this device, and a self-signing key signed by it.

    Another master key than the stored one needs `password`. A new self-signing key of the same master key
    needs a greater `generation`. `device_keys` are this device's, and other own ones', with the signature of
    the self-signing key: who asks from now on gets both.
    """
    user, devices = await _owner(collaborators, caller)
    address = address_of(caller.username, collaborators.settings.server_name)
    published = published_identity(body.master_key, body.self_signing_key, address, devices[caller.device])
    if caller.device not in body.device_keys:
        raise RoostError("invalid", "device_keys must have the keys of this device.")
    signatures = check_signatures(body.device_keys, devices, address, published.keys.self_signing)
    await _check_replacement(collaborators, caller, user, published, (body.password, network_of(request)))
    # First the signatures: as long as the identity is not stored, they count for nothing.
    await collaborators.store.keys.put_signatures(caller.user, signatures)
    if user.identity != published.stored and not await collaborators.store.keys.put_identity(
        caller.user, published.stored, user.identity
    ):
        raise RoostError("identity_exists", "Another device has uploaded an identity in this moment.")
    await collaborators.key_announcements.announce(caller.user, caller.username, caller.device, "changed")
    return Uploaded()


@router.post("/v1/keys/signatures/upload", responses=responses(*_MINE, *_BAD))
async def upload_signatures(body: SignaturesUpload, caller: Caller, collaborators: With) -> Uploaded:
    """Sign own devices: their device keys, with the signature of the stored self-signing key."""
    address = address_of(caller.username, collaborators.settings.server_name)
    if set(body.root) - {address}:
        raise RoostError("invalid", f"Only devices of {address} can be signed.")
    user, devices = await _owner(collaborators, caller)
    if user.identity is None:
        raise RoostError("invalid", "Upload an identity first.")
    self_signing = identity_of(user.identity, address).self_signing
    signatures = check_signatures(body.root.get(address, {}), devices, address, self_signing)
    await collaborators.store.keys.put_signatures(caller.user, signatures)
    for device in signatures:
        await collaborators.key_announcements.announce(caller.user, caller.username, device, "changed")
    return Uploaded()


async def _owner(collaborators: Collaborators, caller: Principal) -> tuple[User, dict[str, Device]]:
    """Return the caller's account and devices, as they are stored."""
    accounts = collaborators.store.accounts
    user = (await accounts.users_by_id([caller.user])).get(caller.user)
    if user is None:
        raise RoostError("revoked", "This account no longer exists.")
    devices = (await accounts.devices_of([caller.user], opened=False)).get(caller.user, [])
    found = {device.device: device for device in devices}
    if caller.device not in found:
        raise RoostError("unknown_device", "This device was removed.")
    return user, found


async def _check_replacement(
    collaborators: Collaborators,
    caller: Principal,
    user: User,
    published: Published,
    proof: tuple[str | None, str],
) -> None:
    """Check that the identity may take the place of the stored one.

    Args:
        collaborators: To verify with.
        caller: Who uploads it.
        user: The account.
        published: The identity.
        proof: The password, if one was given, and the client's address.
    """
    stored: StoredIdentity | None = user.identity
    if stored is None or stored == published.stored:
        return
    address = address_of(caller.username, collaborators.settings.server_name)
    before, now = identity_of(stored, address), published.keys
    if before.master == now.master:
        same = before.self_signing == now.self_signing and before.generation == now.generation
        if not same and before.generation >= now.generation:
            raise RoostError("key_conflict", f"The generation must be greater than {before.generation}.")
        return
    password, network = proof
    if password is None:
        raise RoostError("identity_exists", "The account has another identity; its password replaces it.")
    await collaborators.limits.check("password_changes", caller.family)
    if not await collaborators.passwords.verify(user.password_hash, password, network):
        raise RoostError("bad_credentials", "The password is wrong.")
