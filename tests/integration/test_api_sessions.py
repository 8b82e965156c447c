"""Log-in, refresh with lost and stolen tokens, and what a session's end means."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from nacl.signing import SigningKey

from roost import wire
from roost.clock import now_ms
from storage.keyring import KeyRing
from tests.integration.api_world import PASSWORD, Person, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), gateways=2) as whole:
        yield whole


async def refresh(world: World, token: str, gateway: int = 0) -> tuple[int, Any]:
    return await world.call("POST", "/v1/sessions/refresh", {"refresh_token": token}, gateway=gateway)


async def log_in(world: World, **changes: Any) -> tuple[int, str]:
    body = {"username": "nobody", "password": PASSWORD} | changes
    status, answer = await world.call("POST", "/v1/sessions", body)
    return status, answer.get("code", "")


@pytest.mark.attack("log in with a wrong password, or as someone who does not exist", "one refusal for both")
async def test_bad_log_ins(world: World) -> None:
    alice = await world.person()
    assert await log_in(world, username="nobody.here") == (401, "bad_credentials")
    assert await log_in(world, username="no such name") == (401, "bad_credentials")
    assert await log_in(world, username=alice.username, password="wrong") == (401, "bad_credentials")
    known = {"username": alice.username, "device_id": "NOSUCHDEVICE"}
    assert await log_in(world, **known) == (404, "unknown_device")
    bob = await world.person(keys=False)
    assert await log_in(world, **(known | {"device_id": bob.device})) == (404, "unknown_device")
    assert await log_in(world, username=7) == (422, "invalid")


async def test_shape(world: World) -> None:
    alice = await world.person(keys=False)
    assert set(alice.tokens) == {
        "access_token", "token_type", "expires_in", "refresh_token", "user_id", "username", "device_id",
    }  # fmt: skip
    assert (alice.tokens["token_type"], alice.tokens["expires_in"]) == ("Bearer", 600)


async def test_a_lost_reply_is_sent_again(world: World) -> None:
    alice = await world.person(keys=False)
    first = await refresh(world, alice.tokens["refresh_token"])
    again = await refresh(world, alice.tokens["refresh_token"], gateway=1)
    assert first[0] == again[0] == 200
    assert first[1]["refresh_token"] == again[1]["refresh_token"] != alice.tokens["refresh_token"]
    assert first[1]["device_id"] == alice.device


@pytest.mark.attack("use a copied refresh token after its owner has gone on", "reuse ends the session")
async def test_reuse_ends_the_family(world: World) -> None:
    alice = await world.person(keys=False)
    stolen = alice.tokens["refresh_token"]
    _, second = await refresh(world, stolen)
    _, third = await refresh(world, second["refresh_token"])
    status, problem = await refresh(world, stolen)
    assert (status, problem["code"]) == (401, "token_reused")
    status, problem = await refresh(world, third["refresh_token"])
    assert (status, problem["code"]) == (401, "revoked")
    alice.tokens["access_token"] = third["access_token"]
    status, problem = await alice.call("GET", "/v1/me")
    assert (status, problem["code"]) == (401, "revoked")


async def test_twenty_at_once_get_the_same(world: World) -> None:
    alice = await world.person(keys=False)
    token = alice.tokens["refresh_token"]
    answers = await asyncio.gather(*(refresh(world, token, number % 2) for number in range(20)))
    assert {status for status, _ in answers} == {200}
    assert len({body["refresh_token"] for _, body in answers}) == 1


async def test_a_lost_reply_is_given_again_after_the_key_was_replaced(world: World) -> None:
    alice = await world.person(keys=False)
    token, ring = alice.tokens["refresh_token"], world.gateways[0].collaborators.keyring
    _, given = await refresh(world, token)
    before = ring.secrets
    ring._use(before.rotated(["refresh", "token"], now_ms(), kept_ms={"refresh": 60_000, "token": 60_000}))
    status, again = await refresh(world, token)
    assert (status, again["refresh_token"]) == (200, given["refresh_token"])
    assert (await alice.call("GET", "/v1/me"))[0] == 200, "the token before the rotation"
    status, after = await refresh(world, again["refresh_token"])
    assert status == 200
    assert after["refresh_token"] != KeyRing(before).derive_refresh(again["refresh_token"]), "by the new key"


async def test_a_used_session_does_not_end(world: World) -> None:
    """Each refresh moves the end: who comes back within the time of the setting needs no password."""
    alice = await world.person(keys=False)
    token = alice.tokens["refresh_token"]
    sessions = world.store.sessions
    begun = await sessions.get(token.split(".")[1])
    assert begun is not None
    for gateway in (0, 1):
        _, granted = await refresh(world, token, gateway)
        token = granted["refresh_token"]
        moved = await sessions.get(begun.family)
        assert moved is not None
        assert moved.expires_at_ms - moved.used_at_ms == begun.expires_at_ms - begun.created_at_ms
        assert moved.expires_at_ms > begun.expires_at_ms
    first = await refresh(world, token)
    once = await sessions.get(begun.family)
    again = await refresh(world, token)
    assert first[1]["refresh_token"] == again[1]["refresh_token"]
    assert await sessions.get(begun.family) == once, "a reply that is given again moves nothing"


async def signed_session(alice: Person) -> Person:
    body = {"username": alice.username, "password": PASSWORD, "device_id": alice.device}
    status, tokens = await alice.world.call("POST", "/v1/sessions", body | {"signed_refresh": True})
    assert status == 201, tokens
    return Person(alice.world, alice.username, tokens, alice.signing)


@pytest.mark.attack(
    "refresh with a copied token where refreshes are signed: {row}",
    "the device's signature over the token",
)
@pytest.mark.parametrize("thief", ["unsigned", "wrong key", "other token", "not base64", "short"])
async def test_a_copied_token_is_of_no_use_where_refreshes_are_signed(world: World, thief: str) -> None:
    alice = await signed_session(await world.person())
    token = alice.tokens["refresh_token"]
    for _ in range(3):
        words = b"roost.refresh.v1\x00" + token.encode()
        good = wire.unpadded(alice.signing.sign(words).signature)
        copied = {
            "unsigned": None,
            "wrong key": wire.unpadded(SigningKey.generate().sign(words).signature),
            "other token": wire.unpadded(alice.signing.sign(words + b"x").signature),
            "not base64": "?",
            "short": good[:40],
        }[thief]
        body = {"refresh_token": token, "signature": copied}
        status, problem = await world.call("POST", "/v1/sessions/refresh", body)
        assert (status, problem["code"]) == (422, "invalid_signature")
        status, granted = await world.call("POST", "/v1/sessions/refresh", body | {"signature": good})
        assert status == 200, granted
        token = granted["refresh_token"]


@pytest.mark.attack(
    "ask for signed refreshes without having keys, to get by without a signature",
    "no keys, no refresh",
)
async def test_a_device_without_keys_cannot_sign(world: World) -> None:
    alice = await signed_session(await world.person(keys=False))
    body = {"refresh_token": alice.tokens["refresh_token"], "signature": wire.unpadded(bytes(64))}
    status, problem = await world.call("POST", "/v1/sessions/refresh", body)
    assert (status, problem["code"]) == (422, "invalid_signature")


@pytest.mark.attack("break the parser of refresh tokens: {row}", "one form is read")
@pytest.mark.parametrize("token", ["x", "rr1.a", "rr1..", "rr1.nofamily.secret", "rr2.a.b", "a.b.c.d"])
async def test_not_a_refresh_token(world: World, token: str) -> None:
    status, problem = await refresh(world, token)
    assert (status, problem["code"]) == (401, "unauthenticated")


@pytest.mark.attack("use a session after its log-out", "it is ended on every gateway")
async def test_log_out(world: World) -> None:
    alice = await world.person(keys=False)
    await alice.call("DELETE", "/v1/sessions/current", expect=204)
    status, problem = await alice.call("GET", "/v1/me")
    assert (status, problem["code"]) == (401, "revoked")
    status, problem = await refresh(world, alice.tokens["refresh_token"])
    assert (status, problem["code"]) == (401, "revoked")
    back = await alice.log_in(alice.device)
    assert back.device == alice.device
    await back.call("GET", "/v1/me", expect=200)


async def test_log_in_of_a_known_device_ends_its_earlier_session_only(world: World) -> None:
    alice = await world.person(keys=False)
    tablet = await alice.log_in()
    await alice.log_in(alice.device)
    assert (await alice.call("GET", "/v1/me"))[0] == 401
    await tablet.call("GET", "/v1/me", expect=200)


@pytest.mark.attack(
    "use a token of an ended session at a gateway that was not told",
    "without a pulse it reads the ended sessions from the store",
)
async def test_a_gateway_without_the_subscription_reads_ended_sessions_from_the_store(world: World) -> None:
    alice = await world.person(keys=False)
    await alice.call("GET", "/v1/me", expect=200, gateway=1)
    store = world.gateways[0].collaborators.store
    (family,) = await store.sessions.end(
        alice.tokens["user_id"], alice.device, world.gateways[0].collaborators.clock()
    )
    revocations = world.gateways[1].collaborators.revocations
    assert not revocations.ended(family)
    await revocations.reload()
    assert (await alice.call("GET", "/v1/me", gateway=1))[0] == 401


@pytest.mark.attack("guess passwords", "limiters by username and by address")
async def test_log_ins_are_limited(mongo_url: str, redis_url: str) -> None:
    from api.identity.limits import Limit  # noqa: PLC0415 -- only this test narrows a limit

    limits = {"logins_by_user": Limit(0.01, 2), "sends": Limit(0.01, 2, "local")}
    async with running(Urls(mongo_url, redis_url), limits=limits) as narrow:
        alice, bob = await narrow.person(), await narrow.person()
        await log_in(narrow, username=alice.username, password="wrong")
        body = {"username": alice.username, "password": "wrong"}
        status, problem = await narrow.call("POST", "/v1/sessions", body)
        assert (status, problem["code"]) == (429, "rate_limited")
        assert problem["retry_after_s"] > 0
        for _ in range(2):
            assert (await alice.send(bob))[0] == 202
        status, problem = await alice.send(bob)
        assert (status, problem["code"]) == (429, "rate_limited")


@pytest.mark.attack("lock a user out by guesses", "a known device has a limiter of its own")
async def test_guesses_do_not_lock_out_a_known_device(mongo_url: str, redis_url: str) -> None:
    """Who guesses does so without a device, or from elsewhere; the owner comes with a device of their own."""
    from api.identity.limits import Limit  # noqa: PLC0415 -- only this test narrows a limit

    limits = {"logins_by_user": Limit(0.01, 3), "logins_by_device": Limit(0.01, 3)}
    async with running(Urls(mongo_url, redis_url), limits=limits) as narrow:
        alice, mallory = await narrow.person(), await narrow.person()
        guesses = [
            {},
            {"device_id": "NOSUCHDEVICE"},
            {"device_id": mallory.device},
            {"device": {"name": "x"}},
        ]
        for guess in guesses * 2:
            status, code = await log_in(narrow, username=alice.username, password="wrong", **guess)
        assert (status, code) == (429, "rate_limited")
        assert (await log_in(narrow, username=alice.username, device={"name": "new"}))[0] == 429
        back = await alice.log_in(alice.device)
        assert back.device == alice.device
        known = {"username": alice.username, "device_id": alice.device, "password": "wrong"}
        seen = [await log_in(narrow, **known) for _ in range(4)]
        assert seen[0] == (401, "bad_credentials")
        assert seen[-1] == (429, "rate_limited"), "nor may one guess without end with a device's public id"


async def test_common_passwords_and_odd_names(world: World) -> None:
    for body in (
        {"username": "someone.new", "password": "password"},
        {"username": "someone.new", "password": "SomeOne.New"},
        {"username": "someone.new", "password": PASSWORD, "display_name": "a\nb"},
        {"username": "someone.new", "password": PASSWORD, "display_name": "\u202egpj"},
    ):
        status, problem = await world.call("POST", "/v1/accounts", body)
        assert (status, problem["code"]) == (422, "invalid"), body
    alice = await world.person(keys=False)
    changed = await alice.call("PATCH", "/v1/me", {"display_name": "  A\u0301lice  L "}, expect=200)
    assert changed["display_name"] == "\u00c1lice L"
    status, code = await log_in(world, username=alice.username, device={"name": "\u200b"})
    assert (status, code) == (422, "invalid")
