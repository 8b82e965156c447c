"""Public keys of devices, in the shapes of the Matrix client-server API."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.devices import KeyCounts, KeysClaim, KeysClaimed, KeysFound, KeysQuery, KeysUpload
from api.identity.directory import Person, folded
from api.identity.key_validation import (
    signing_key_of,
    validate_device_keys,
    validate_fallback_keys,
    validate_one_time_keys,
)
from api.identity.tokens import Principal
from roost.errors import RoostError
from roost.ids import address_of, parse_address

router = APIRouter(route_class=ApiRoute, tags=["keys"])
_MINE = ("unauthenticated", "revoked", "rate_limited")
_STORED_MAX = 1_000

USERS_MAX = 250
"""Users that one query or claim may name."""


@router.post(
    "/v1/keys/upload",
    responses=responses(*_MINE, "invalid_signature", "key_conflict", "unknown_device"),
)
async def upload_keys(body: KeysUpload, caller: Caller, collaborators: With) -> KeyCounts:
    """Upload this device's keys; all are checked before any is stored."""
    one_time, fallback = body.one_time_keys or {}, body.fallback_keys or {}
    address = address_of(caller.username, collaborators.settings.server_name)
    if body.device_keys is not None:
        body.device_keys = validate_device_keys(body.device_keys, address, caller.device)
    if one_time or fallback:
        keys = body.device_keys or await _stored_keys(collaborators, caller)
        signing_key = signing_key_of(keys, caller.device)
        body.one_time_keys = validate_one_time_keys(one_time, address, caller.device, signing_key)
        body.fallback_keys = validate_fallback_keys(fallback, address, caller.device, signing_key)
    await _check_room(collaborators, caller, len(one_time))
    await _store(collaborators, caller, body)
    supply = await collaborators.key_supplies.read(caller.user, caller.device)
    return KeyCounts(one_time_key_counts=supply.one_time)


@router.post("/v1/keys/query", responses=responses(*_MINE))
async def query_keys(body: KeysQuery, caller: Caller, collaborators: With) -> KeysFound:
    """Return the keys of users' devices, and identities; unknown users and devices are left out."""
    await collaborators.limits.check("lookups", caller.device)
    ours, failures = _ours(collaborators, list(body.device_keys))
    people = await collaborators.directory.people(ours.values())
    found: dict[str, dict[str, dict[str, Any]]] = {}
    masters: dict[str, dict[str, Any]] = {}
    self_signing: dict[str, dict[str, Any]] = {}
    for address, name in ours.items():
        if name not in people:
            continue
        if (identity := people[name].stored_identity()) is not None:
            masters[address], self_signing[address] = identity.master_key, identity.self_signing_key
        wanted = body.device_keys[address]
        keys = people[name].keys()
        found[address] = {device: keys[device] for device in keys if not wanted or device in wanted}
    return KeysFound(
        device_keys=found, failures=failures, master_keys=masters, self_signing_keys=self_signing
    )


@router.post("/v1/keys/claim", responses=responses(*_MINE))
async def claim_keys(body: KeysClaim, caller: Caller, collaborators: With) -> KeysClaimed:
    """Claim one key of each named device; devices without keys are left out.

    Of one device's one-time keys an asker gets few within a day, and then its fallback key.
    """
    ours, failures = _ours(collaborators, list(body.one_time_keys))
    people = await collaborators.directory.people(ours.values())
    named = {name: body.one_time_keys[address].keys() for address, name in ours.items() if name in people}
    devices = await _devices(collaborators, {people[name]: devices for name, devices in named.items()})
    claimed: dict[str, dict[str, dict[str, Any]]] = {}
    for address, name in ours.items():
        if name not in people:
            continue
        claimed[address] = {}
        for device, algorithm in body.one_time_keys[address].items():
            if device not in devices[people[name].user]:
                continue
            await collaborators.limits.check("claims", f"{caller.user}|{people[name].user}")
            pair = f"{caller.user}|{people[name].user}|{device}"
            spare = await collaborators.limits.wait("one_time_keys", pair) > 0
            key = await collaborators.store.keys.claim_one_time_key(
                people[name].user, device, algorithm, fallback=spare
            )
            if key is not None:
                collaborators.key_supplies.forget(people[name].user, device)
                claimed[address][device] = {key[0]: key[1]}
    return KeysClaimed(one_time_keys=claimed, failures=failures)


async def _devices(collaborators: Collaborators, named: dict[Person, Iterable[str]]) -> dict[str, set[str]]:
    """Return the devices of these users, by user id: read again where one is named that is not known."""
    found = {person.user: set(person.devices) for person in named}
    unknown = [person.user for person, devices in named.items() if not person.devices.issuperset(devices)]
    if unknown:
        for user, devices in (await collaborators.store.accounts.devices_of(unknown, opened=False)).items():
            found[user] |= {each.device for each in devices}
    return found


def _ours(
    collaborators: Collaborators, addresses: list[str]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return ``{address: username}`` of our own users, and the servers that are not us."""
    if len(addresses) > USERS_MAX:
        raise RoostError("too_large", f"A request may name at most {USERS_MAX} users.")
    ours: dict[str, str] = {}
    failures: dict[str, dict[str, Any]] = {}
    for address in addresses:
        try:
            name, server = parse_address(address)
            if server == collaborators.settings.server_name:
                ours[address] = folded(name)
            else:
                failures[server] = {}
        except ValueError as exc:
            raise RoostError("invalid", f"{address[:80]!r}: {exc}.") from exc
    return ours, failures


async def _stored_keys(collaborators: Collaborators, caller: Principal) -> dict[str, Any]:
    devices = (await collaborators.store.accounts.devices_of([caller.user], opened=False)).get(
        caller.user, []
    )
    keys = next((device.keys for device in devices if device.device == caller.device), None)
    if keys is None:
        raise RoostError("invalid", "Upload this device's device_keys first, or in the same request.")
    return dict(keys)


async def _check_room(collaborators: Collaborators, caller: Principal, more: int) -> None:
    if more == 0:
        return
    supply = await collaborators.store.keys.supply(caller.user, caller.device)
    if sum(supply.one_time.values()) + more > _STORED_MAX:
        raise RoostError("too_large", f"A device may store at most {_STORED_MAX} one-time keys.")


async def _store(collaborators: Collaborators, caller: Principal, body: KeysUpload) -> None:
    conflict = RoostError(
        "key_conflict", "This key id was already uploaded with different bytes; use a new id."
    )
    if body.device_keys is not None:
        outcome = await collaborators.store.keys.put_device_keys(
            caller.user, caller.device, body.device_keys, signing_key_of(body.device_keys, caller.device)
        )
        if outcome == "unknown":
            raise RoostError("unknown_device", "This device was removed.")
        if outcome == "conflict":
            raise conflict
        if outcome == "added":
            await collaborators.key_announcements.announce(
                caller.user, caller.username, caller.device, "added"
            )
    for keys, fallback in ((body.one_time_keys, False), (body.fallback_keys, True)):
        if keys and not await collaborators.store.keys.add_one_time_keys(
            caller.user, caller.device, keys, fallback=fallback
        ):
            raise conflict
