"""Identity keys over HTTP: uploaded, replaced, signed with; and who tries to have another one's."""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from nacl.signing import SigningKey

from roost import wire
from roost.cross_signing import is_cross_signed, verify_identity
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import DeviceSecrets
from roost.signing import canonical_json
from tests.integration.api_world import PASSWORD, Person, Urls, World, message, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEAK = [bytes(32), b"\1" + bytes(31)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), gateways=2) as whole:
        yield whole


def made(seed: int = 1) -> IdentitySecrets:
    return IdentitySecrets(bytes([seed]) * 32)


def secrets_of(person: Person) -> DeviceSecrets:
    return DeviceSecrets(bytes(32), bytes(person.signing))


def body_of(person: Person, identity: IdentitySecrets, *more: Person, **fields: Any) -> dict[str, Any]:
    return {
        "master_key": identity.master_key(person.address, person.device, secrets_of(person)),
        "self_signing_key": identity.self_signing_key(person.address),
        "device_keys": {each.device: signed(each, identity) for each in (person, *more)},
        **fields,
    }


def signed(person: Person, identity: IdentitySecrets) -> dict[str, Any]:
    return identity.sign_device(person.device_keys(), person.address)


async def upload(person: Person, body: dict[str, Any], gateway: int = 0) -> Any:
    """Upload an identity; returns the code word, "" if it was taken."""
    status, answer = await person.call("POST", "/v1/keys/device_signing/upload", body, gateway=gateway)
    return "" if status == 200 else answer["code"]


async def sign(person: Person, bundles: dict[str, Any], of: Person | None = None) -> Any:
    body = {(of or person).address: bundles}
    status, answer = await person.call("POST", "/v1/keys/signatures/upload", body)
    return "" if status == 200 else answer["code"]


async def seen(asker: Person, of: Person, gateway: int = 0) -> dict[str, Any]:
    body = {"device_keys": {of.address: []}}
    found = await asker.call("POST", "/v1/keys/query", body, gateway=gateway, expect=200)
    names = ("device_keys", "master_keys", "self_signing_keys")
    return {name: found[name].get(of.address) for name in names}


async def master_of(asker: Person, of: Person) -> bytes | None:
    found = await seen(asker, of)
    if found["master_keys"] is None:
        return None
    return verify_identity(found["master_keys"], found["self_signing_keys"], of.address).master


async def test_an_identity_and_its_device_are_seen_together_on_every_gateway(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert (await seen(bob, alice, 1))["master_keys"] is None
    identity = made()
    assert await upload(alice, body_of(alice, identity)) == ""
    assert await upload(alice, body_of(alice, identity)) == ""  # a lost reply
    for gateway in (0, 1):
        async with asyncio.timeout(5):
            while (found := await seen(bob, alice, gateway))["master_keys"] is None:
                await asyncio.sleep(0.02)
        public = verify_identity(found["master_keys"], found["self_signing_keys"], alice.address)
        assert public == identity.public
        bundle = found["device_keys"][alice.device]
        assert is_cross_signed(bundle, alice.address, public.self_signing)
        assert len(bundle["signatures"][alice.address]) == 2


@pytest.mark.attack(
    "replace a person's identity with a stolen token", "another master key needs the password"
)
async def test_a_stolen_token_does_not_replace_an_identity(world: World) -> None:
    alice = await world.person()
    assert await upload(alice, body_of(alice, made())) == ""
    assert await upload(alice, body_of(alice, made(5))) == "identity_exists"
    assert await upload(alice, body_of(alice, made(5), password="not it at all")) == "bad_credentials"
    assert await master_of(alice, alice) == made().public.master
    assert await upload(alice, body_of(alice, made(5), password=PASSWORD)) == ""
    found = await seen(alice, alice)
    assert found["master_keys"]["keys"] == body_of(alice, made(5))["master_key"]["keys"]
    assert is_cross_signed(found["device_keys"][alice.device], alice.address, made(5).public.self_signing)


@pytest.mark.attack(
    "upload an identity without the device's key", "the device of the token signs the master key"
)
async def test_a_stolen_token_does_not_make_an_identity(world: World) -> None:
    alice = await world.person()
    body = body_of(alice, made())
    thief = DeviceSecrets(bytes(32), b"t" * 32)
    forged = made().master_key(alice.address, alice.device, thief)
    assert await upload(alice, body | {"master_key": forged}) == "invalid_signature"
    bare = {name: value for name, value in body["master_key"].items() if name != "signatures"}
    assert await upload(alice, body | {"master_key": bare}) == "invalid"
    assert await upload(alice, body | {"master_key": bare | {"signatures": {}}}) == "invalid_signature"
    assert await master_of(alice, alice) is None


@pytest.mark.attack("put an older self-signing key back", "its generation has to be greater")
async def test_a_self_signing_key_is_followed_by_a_greater_one_only(world: World) -> None:
    alice = await world.person()
    first = made()
    second = IdentitySecrets(first.master, 2)
    assert await upload(alice, body_of(alice, first)) == ""
    assert await upload(alice, body_of(alice, second)) == ""  # the same person: no password
    assert await upload(alice, body_of(alice, first)) == "key_conflict"
    other, whole = SigningKey(b"o" * 32), body_of(alice, second)
    same_number = whole["self_signing_key"] | {"keys": named(bytes(other.verify_key))}
    whole["self_signing_key"] = resigned(same_number, alice, SigningKey(first.master))
    whole["device_keys"] = {alice.device: resigned(alice.device_keys(), alice, other)}
    assert await upload(alice, whole) == "key_conflict"
    found = await seen(alice, alice)
    assert verify_identity(found["master_keys"], found["self_signing_keys"], alice.address) == second.public
    # What the first one signed is not passed on.
    assert is_cross_signed(found["device_keys"][alice.device], alice.address, second.public.self_signing)


async def test_of_identities_at_once_one_is_taken(world: World) -> None:
    alice = await world.person()
    tablet = await alice.log_in()
    await tablet.publish_keys()
    outcomes = await asyncio.gather(
        upload(alice, body_of(alice, made(1))), upload(tablet, body_of(tablet, made(5)), 1)
    )
    assert sorted(outcomes) == ["", "identity_exists"]
    assert await master_of(alice, alice) == made((1, 5)[outcomes.index("")]).public.master


def resigned(obj: dict[str, Any], person: Person, key: SigningKey | None = None) -> dict[str, Any]:
    """Sign a changed object again."""
    by = f"ed25519:{person.device}" if key is None else f"ed25519:{wire.unpadded(bytes(key.verify_key))}"
    bare = {name: value for name, value in obj.items() if name != "signatures"}
    signature = wire.unpadded((key or person.signing).sign(canonical_json(bare)).signature)
    return bare | {"signatures": {person.address: {by: signature}}}


def named(key: bytes) -> dict[str, str]:
    return {f"ed25519:{wire.unpadded(key)}": wire.unpadded(key)}


@pytest.mark.attack(
    "publish an identity of small order, of another person, or of another form",
    "both objects are checked before anything is stored",
)
async def test_odd_identities(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    good = body_of(alice, made())
    master, self_signing, key = good["master_key"], good["self_signing_key"], SigningKey(made().master)
    two = named(b"k" * 32) | master["keys"]
    for changes in (
        {"user_id": bob.address},
        {"usage": ["self_signing"]},
        {"usage": ["master", "self_signing"]},
        {"usage": "master"},
        {"keys": {}},
        {"keys": two},
        {"keys": {"ed25519:AAAA": next(iter(master["keys"].values()))}},
        {"keys": {"ed25519:AAAA": "AAAA"}},
        *({"keys": named(weak)} for weak in WEAK),
        {"keys": self_signing["keys"]},
        {"generation": 1},
    ):
        odd = resigned(master | changes, alice)
        assert await upload(alice, good | {"master_key": odd}) == "invalid", changes
    for changes in (
        {"user_id": bob.address},
        {"usage": ["master"]},
        {"keys": master["keys"]},
        *({"keys": named(weak)} for weak in WEAK),
        {"generation": 0},
        {"generation": 2**32},
        {"generation": "1"},
    ):
        odd = resigned(self_signing | changes, alice, key)
        assert await upload(alice, good | {"self_signing_key": odd}) == "invalid", changes
    forged = resigned(self_signing, alice, SigningKey(b"f" * 32))
    assert await upload(alice, good | {"self_signing_key": forged}) == "invalid_signature"
    for name in ("master_key", "self_signing_key"):
        long = copy.deepcopy(good)
        long[name]["signatures"]["x"] = {"y": "z" * 5000}
        assert await upload(alice, long) == "invalid"
    assert await upload(alice, good | {"device_keys": {}}) == "invalid"
    assert await master_of(alice, alice) is None
    assert await upload(alice, good) == ""


@pytest.mark.attack(
    "have the server pass on a signature that does not hold, or of another's device",
    "signatures of devices are checked against the stored keys and the stored identity",
)
async def test_only_what_the_identity_signed_is_passed_on(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    tablet = await alice.log_in()
    await tablet.publish_keys()
    identity = made()
    good = {tablet.device: signed(tablet, identity)}
    assert await sign(alice, good) == "invalid"  # there is no identity yet
    assert await upload(alice, body_of(alice, identity)) == ""
    assert await sign(alice, {tablet.device: signed(tablet, made(5))}) == "invalid_signature"
    assert await sign(alice, {tablet.device: tablet.device_keys()}) == "invalid_signature"
    assert await sign(alice, {"NOSUCHDEVICE": signed(tablet, identity)}) == "unknown_device"
    assert await sign(alice, {tablet.device: signed(alice, identity)}) == "key_conflict"
    assert await sign(alice, {tablet.device: {"keys": 7}}) == "invalid"
    assert await sign(alice, good, of=bob) == "invalid"
    assert tablet.device in (await seen(bob, alice))["device_keys"]
    key = identity.public.self_signing
    assert not is_cross_signed((await seen(bob, alice))["device_keys"][tablet.device], alice.address, key)
    assert await sign(alice, good) == ""
    assert is_cross_signed((await seen(bob, alice))["device_keys"][tablet.device], alice.address, key)


async def test_own_devices_and_who_has_a_conversation_learn_of_it(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    tablet = await alice.log_in()
    await tablet.publish_keys()
    payloads = {each.device: "aGk" for each in (alice, tablet)}
    status, answer = await bob.call("POST", "/v1/messages", message(alice, payloads=payloads))
    assert status == 202, answer
    async with tablet.hello() as own, bob.hello() as peer:
        assert await upload(alice, body_of(alice, made())) == ""
        assert await sign(alice, {tablet.device: signed(tablet, made())}) == ""
        for socket in (own, peer):
            changes: list[str] = []
            while tablet.device not in changes or alice.device not in changes:
                frame = await until(socket, "entries")
                changes += [
                    entry["device"]
                    for entry in frame["entries"]
                    if entry["type"] == "keys" and entry["change"] == "changed"
                ]


async def test_it_is_in_the_export(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    assert await upload(alice, body_of(alice, made())) == ""
    exported = await alice.call("GET", "/v1/me/export", expect=200)
    assert exported["account"]["identity"]["master_key"]["usage"] == ["master"]
    assert exported["devices"][0]["cross_signature"][0].startswith("ed25519:")
    assert await master_of(bob, alice) == made().public.master
