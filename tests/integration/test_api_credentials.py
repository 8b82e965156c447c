"""Log-in with a device's key, password changes, the end of other sessions; and who tries to misuse them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from nacl.signing import SigningKey

from api.identity import device_proofs, sessions
from api.identity.limits import Limit
from roost import wire
from roost.proofs import challenge_message, refresh_message
from storage.account_rows import Device
from tests.integration.api_world import PASSWORD, SERVER_NAME, Person, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "a longer battery horse"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), gateways=2) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(world: World) -> tuple[Person, Person, Person]:
    """Return a user on a phone, on a tablet with the very same key, and another; they stay as they are."""
    alice = await world.person()
    tablet = await alice.log_in()
    tablet.signing = alice.signing
    await tablet.publish_keys()
    return alice, tablet, await world.person()


async def challenged(world: World, username: str, device: str, gateway: int = 0) -> str:
    body = {"username": username, "device_id": device}
    status, answer = await world.call("POST", "/v1/auth/challenge", body, gateway=gateway)
    assert (status, set(answer)) == (200, {"nonce", "expires_in"}), answer
    return str(answer["nonce"])


def signed(person: Person, nonce: str, **changes: str) -> str:
    words = {"user": person.username, "device_id": person.device, "nonce": nonce, "server": SERVER_NAME}
    return wire.unpadded(person.signing.sign(challenge_message(**(words | changes))).signature)


async def answered(person: Person, nonce: str, signature: str, gateway: int = 0, **changes: Any) -> Any:
    """Log in with a signature; returns the code word, or the tokens."""
    body = {"username": person.username, "device_id": person.device, "nonce": nonce, "signature": signature}
    status, answer = await person.world.call("POST", "/v1/sessions", body | changes, gateway=gateway)
    return answer if status == 201 else answer["code"]


async def by_key(person: Person) -> Any:
    nonce = await challenged(person.world, person.username, person.device)
    return await answered(person, nonce, signed(person, nonce))


async def code_of(person: Person, gateway: int = 0) -> str:
    status, answer = await person.call("GET", "/v1/me", gateway=gateway)
    return "" if status == 200 else str(answer["code"])


async def refreshed(world: World, token: str, signature: str | None = None) -> Any:
    body = {"refresh_token": token, "signature": signature}
    status, answer = await world.call("POST", "/v1/sessions/refresh", body)
    return answer if status == 200 else answer["code"]


async def change(person: Person, old: str = PASSWORD, new: str = NEW, **fields: Any) -> Any:
    status, answer = await person.call("PUT", "/v1/me/password", {"old": old, "new": new, **fields})
    return "" if status == 204 else answer["code"]


async def logged_in(world: World, username: str, password: str, **fields: Any) -> Any:
    body = {"username": username, "password": password, **fields}
    status, answer = await world.call("POST", "/v1/sessions", body)
    return answer if status == 201 else answer["code"]


# --- log-in with a device's key ---------------------------------------------------------------------


async def test_a_device_logs_in_with_its_key(world: World) -> None:
    alice = await world.person()
    nonce = await challenged(world, alice.username.upper(), alice.device)
    tokens = await answered(alice, nonce, signed(alice, nonce), gateway=1)
    assert set(tokens) == set(alice.tokens)
    assert tokens["device_id"] == alice.device
    assert await code_of(alice) == "revoked", "as with the password: the device's earlier session has ended"
    alice.tokens = tokens
    assert await code_of(alice) == ""


@pytest.mark.attack("challenge-replayed")
async def test_a_challenge_is_good_for_one_try(world: World) -> None:
    alice = await world.person()
    nonce = await challenged(world, alice.username, alice.device)
    signature = signed(alice, nonce)
    assert isinstance(await answered(alice, nonce, signature), dict)
    for gateway in (0, 1):
        assert await answered(alice, nonce, signature, gateway) == "bad_credentials"
    nonce = await challenged(world, alice.username, alice.device)
    assert await answered(alice, nonce, wire.unpadded(bytes(64))) == "bad_credentials"
    assert await answered(alice, nonce, signed(alice, nonce)) == "bad_credentials", "a wrong try uses it up"


@pytest.mark.attack("challenge-answered-twice-at-once")
async def test_of_many_answers_at_once_one_counts(world: World) -> None:
    alice = await world.person()
    nonce = await challenged(world, alice.username, alice.device)
    signature = signed(alice, nonce)
    answers = await asyncio.gather(*(answered(alice, nonce, signature, n % 2) for n in range(8)))
    assert sum(isinstance(each, dict) for each in answers) == 1


@pytest.mark.attack("log in with a challenge that is {row}")
@pytest.mark.parametrize(
    "attack",
    [
        "of another device",
        "of another user",
        "for another server",
        "made up",
        "signed with another key",
        "signed as a refresh",
        "not signed",
    ],
)
async def test_challenges_of_others(world: World, people: tuple[Person, Person, Person], attack: str) -> None:
    alice, tablet, mallory = people
    nonce = await challenged(world, alice.username, alice.device)
    signature = signed(alice, nonce)
    if attack == "of another device":
        nonce = await challenged(world, alice.username, tablet.device)
        signature = signed(alice, nonce)
    elif attack == "of another user":
        nonce = await challenged(world, mallory.username, alice.device)
        signature = signed(alice, nonce)
    elif attack == "for another server":
        signature = signed(alice, nonce, server="other.example")
    elif attack == "made up":
        nonce = "x" * 43
        signature = signed(alice, nonce)
    elif attack == "signed with another key":
        signature = wire.unpadded(
            mallory.signing.sign(
                challenge_message(alice.username, alice.device, nonce, SERVER_NAME)
            ).signature
        )
    elif attack == "signed as a refresh":
        signature = wire.unpadded(alice.signing.sign(refresh_message(nonce)).signature)
    else:
        signature = ""
    assert await answered(alice, nonce, signature) == "bad_credentials"
    assert await code_of(alice) == "", "and nothing has happened to the session"


@pytest.mark.attack("challenge-by-removed-device")
async def test_a_removed_device_has_no_key(world: World) -> None:
    alice = await world.person()
    tablet = await alice.log_in()
    await tablet.publish_keys()
    nonce = await challenged(world, alice.username, tablet.device)
    await alice.call("DELETE", f"/v1/devices/{tablet.device}", expect=204)
    assert await answered(tablet, nonce, signed(tablet, nonce)) == "bad_credentials"
    assert await by_key(tablet) == "bad_credentials"


@pytest.mark.attack("challenge-without-keys")
async def test_a_device_without_a_key_cannot_log_in_with_it(world: World) -> None:
    alice = await world.person(keys=False)
    assert await by_key(alice) == "bad_credentials"


@pytest.mark.attack("enumeration-by-challenge")
async def test_a_challenge_tells_nothing_of_users_and_devices(
    world: World, people: tuple[Person, Person, Person]
) -> None:
    alice = people[0]
    seen = set()
    for username, device in (
        (alice.username, alice.device),
        (alice.username, "NOSUCHDEVICE"),
        ("nobody.here", alice.device),
        ("no such name", "x"),
        ("", ""),
    ):
        body = {"username": username, "device_id": device}
        status, answer = await world.call("POST", "/v1/auth/challenge", body)
        guess = body | {"nonce": answer["nonce"], "signature": wire.unpadded(bytes(64))}
        wrong, problem = await world.call("POST", "/v1/sessions", guess)
        seen.add(
            (status, len(answer["nonce"]), answer["expires_in"], wrong, problem["code"], problem["detail"])
        )
    assert len(seen) == 1, seen


@pytest.mark.attack("enumeration-by-timing-of-the-challenge")
async def test_no_answer_does_more_work_than_another(
    world: World, people: tuple[Person, Person, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same reads and the same verification for whoever asks: what could be timed is not there."""
    alice = people[0]
    done: list[str] = []
    collaborators = world.gateways[1].collaborators  # the other one still announces her keys

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **named: Any) -> Any:
            done.append(name)
            return real(*args, **named)

        monkeypatch.setattr(owner, name, call)

    for name in ("user_by_name", "users_by_id", "devices_of"):
        counted(collaborators.store.accounts, name)
    for name in ("put_challenge", "take_challenge", "take"):
        counted(collaborators.cache, name)
    counted(device_proofs, "verify_bytes")
    work = []
    for username, device in (
        (alice.username, alice.device),
        (alice.username, "NOSUCH"),
        ("nobody.here", "x"),
    ):
        done.clear()
        nonce = await challenged(world, username, device, gateway=1)
        body = {
            "username": username,
            "device_id": device,
            "nonce": nonce,
            "signature": wire.unpadded(bytes(64)),
        }
        await world.call("POST", "/v1/sessions", body, gateway=1)
        work.append(list(done))
    assert work[0] == work[1] == work[2]
    assert "verify_bytes" in work[0]


@pytest.mark.parametrize("end", ["log-out", "others", "password", "reuse"])
@pytest.mark.attack("device-key-after-revocation")
async def test_a_device_that_was_signed_out_needs_the_password(world: World, end: str) -> None:
    """Whoever copied a keystore has the key, too: after a revocation it is of no use."""
    alice = await world.person()
    laptop = await alice.log_in()
    before = await challenged(world, alice.username, alice.device)
    if end == "log-out":
        await alice.call("DELETE", "/v1/sessions/current", expect=204)
    elif end == "others":
        await laptop.call("DELETE", "/v1/sessions", expect=204)
    elif end == "password":
        assert await change(laptop) == ""
    else:
        assert await refreshed(world, alice.tokens["refresh_token"] + "x") == "token_reused"
    assert await by_key(alice) == "revoked"
    assert await answered(alice, before, signed(alice, before)) == "revoked"
    password = NEW if end == "password" else PASSWORD
    back = await logged_in(world, alice.username, password, device_id=alice.device)
    assert back["device_id"] == alice.device
    assert isinstance(await by_key(alice), dict), "and then its key is good again"


async def test_a_log_in_shows_one_proof(world: World, people: tuple[Person, Person, Person]) -> None:
    alice = people[0]
    both = {"password": PASSWORD, "device_id": alice.device, "nonce": "n", "signature": "s"}
    for body in ({}, {"nonce": "n", "signature": "s"}, {"device_id": "x", "nonce": "n"}, both):
        status, problem = await world.call("POST", "/v1/sessions", {"username": alice.username, **body})
        assert (status, problem["code"]) == (422, "invalid"), body


# --- refreshes --------------------------------------------------------------------------------------


async def with_key(world: World, **fields: Any) -> Person:
    """Return a person whose device has named its key at log-in, and uploaded nothing yet."""
    alice = await world.person(keys=False)
    key = wire.unpadded(bytes(alice.signing.verify_key))
    fields = {"signed_refresh": True, "signing_key": key, **fields}
    alice.tokens = await logged_in(world, alice.username, PASSWORD, **fields)
    return alice


async def test_a_new_device_signs_from_its_first_refresh_on(world: World) -> None:
    alice = await with_key(world, device={"name": "phone"})
    token = alice.tokens["refresh_token"]
    signature = wire.unpadded(alice.signing.sign(refresh_message(token)).signature)
    assert await refreshed(world, token) == "invalid_signature"
    alice.tokens = await refreshed(world, token, signature)
    await alice.publish_keys()
    token = alice.tokens["refresh_token"]
    signature = wire.unpadded(alice.signing.sign(refresh_message(token)).signature)
    assert isinstance(await refreshed(world, token, signature), dict)


@pytest.mark.attack("keys-of-a-thief-uploaded-first")
async def test_who_copied_the_first_tokens_cannot_upload_keys_of_their_own(world: World) -> None:
    alice = await with_key(world, device={"name": "phone"})
    own, alice.signing = alice.signing, SigningKey.generate()
    status, problem = await alice.call("POST", "/v1/keys/upload", {"device_keys": alice.device_keys()})
    assert (status, problem["code"]) == (409, "key_conflict")
    alice.signing = own
    await alice.publish_keys()


@pytest.mark.attack("known-device-with-another-key")
async def test_a_known_device_keeps_its_key(world: World) -> None:
    alice = await with_key(world, device={"name": "phone"})
    other = wire.unpadded(bytes(SigningKey.generate().verify_key))
    known = {"device_id": alice.device, "signed_refresh": True}
    assert await logged_in(world, alice.username, PASSWORD, **known, signing_key=other) == "key_conflict"
    assert await code_of(alice) == ""
    await alice.publish_keys()
    assert await logged_in(world, alice.username, PASSWORD, **known, signing_key=other) == "key_conflict"
    assert await logged_in(world, alice.username, PASSWORD, signing_key="short") == "invalid"


@pytest.mark.attack("refresh-signed-for-another-session")
async def test_a_signature_is_good_for_one_token(world: World) -> None:
    alice, bob = await with_key(world), await with_key(world)
    for signer, token in ((bob, alice), (alice, bob)):
        signature = wire.unpadded(
            signer.signing.sign(refresh_message(signer.tokens["refresh_token"])).signature
        )
        assert await refreshed(world, token.tokens["refresh_token"], signature) == "invalid_signature"
    login = wire.unpadded(
        alice.signing.sign(
            challenge_message(alice.username, alice.device, alice.tokens["refresh_token"], SERVER_NAME)
        ).signature
    )
    assert await refreshed(world, alice.tokens["refresh_token"], login) == "invalid_signature"


@pytest.mark.attack("refresh-unsigned-after-a-signed-one")
async def test_a_session_that_was_once_refreshed_with_a_signature_needs_one(world: World) -> None:
    alice = await world.person()
    token = alice.tokens["refresh_token"]
    wrong = wire.unpadded(SigningKey.generate().sign(refresh_message(token)).signature)
    token = (await refreshed(world, token, wrong))["refresh_token"]
    signature = wire.unpadded(alice.signing.sign(refresh_message(token)).signature)
    token = (await refreshed(world, token, signature))["refresh_token"]
    assert await refreshed(world, token) == "invalid_signature"


@pytest.mark.attack("refresh-in-step-with-the-owner")
async def test_a_thief_in_step_with_the_owner_is_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_LATE_MS", 0)
    alice = await world.person()
    token, seen = alice.tokens["refresh_token"], []
    for _ in range(3):
        owner, thief = await refreshed(world, token), await refreshed(world, token)
        seen.append(thief if isinstance(thief, str) else "")
        token = owner["refresh_token"]
    assert seen == ["", "", "token_reused"]
    assert await refreshed(world, token) == "revoked"


async def test_lost_replies_now_and_then_end_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_LATE_MS", 0)
    alice = await world.person()
    token = alice.tokens["refresh_token"]
    for lost in (True, True, False, True, True, False):
        granted = await refreshed(world, token)
        if lost:
            granted = await refreshed(world, token)
        token = granted["refresh_token"]


# --- passwords --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"keep_sessions": True}])
async def test_a_password_is_changed(world: World, fields: dict[str, bool]) -> None:
    alice = await world.person()
    laptop = await alice.log_in()
    assert await change(alice, **fields) == ""
    assert await code_of(alice) == ""
    for gateway in (0, 1):
        assert await code_of(laptop, gateway) == ("" if fields else "revoked")
    granted = await refreshed(world, laptop.tokens["refresh_token"])
    assert isinstance(granted, dict) if fields else granted == "revoked"
    assert await logged_in(world, alice.username, PASSWORD) == "bad_credentials"
    assert isinstance(await logged_in(world, alice.username, NEW), dict)


@pytest.mark.attack("password-change-without-the-old-one")
async def test_a_stolen_token_does_not_change_the_password(world: World) -> None:
    alice = await world.person()
    assert await change(alice, old="a guess at it") == "bad_credentials"
    status, problem = await alice.call("PUT", "/v1/me/password", {"new": NEW})
    assert (status, problem["code"]) == (422, "invalid")
    assert isinstance(await logged_in(world, alice.username, PASSWORD), dict)


@pytest.mark.attack("password-change-to-a-common-one")
async def test_a_new_password_has_to_be_hard_to_guess(world: World) -> None:
    alice = await world.person()
    for new in (
        "short",
        "password",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
        alice.username,
        alice.username.upper(),
    ):
        assert await change(alice, new=new) == "invalid", new
    assert await change(alice, new="cafe\u0301 au lait") == ""
    assert isinstance(await logged_in(world, alice.username, "caf\u00e9 au lait"), dict)


@pytest.mark.attack("log-in-that-races-a-password-change")
async def test_a_log_in_with_the_old_password_does_not_outlive_its_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person()
    begin, passing = world.gateways[1].collaborators.sessions.begin, asyncio.Event()
    arrived = asyncio.Event()

    async def held(*args: Any, **named: Any) -> Any:
        arrived.set()
        await passing.wait()
        return await begin(*args, **named)

    monkeypatch.setattr(world.gateways[1].collaborators.sessions, "begin", held)
    body = {"username": alice.username, "password": PASSWORD}
    late = asyncio.create_task(world.call("POST", "/v1/sessions", body, gateway=1))
    await arrived.wait()
    assert await change(alice) == ""
    passing.set()
    status, problem = await late
    assert (status, problem["code"]) == (401, "bad_credentials")
    families = await world.store.sessions.end(alice.tokens["user_id"], None, 1)
    assert families == [alice.tokens["refresh_token"].split(".")[1]], "only the one that changed it lives"


@pytest.mark.attack("device-key-log-in-that-races-a-log-out-everywhere")
async def test_a_log_in_by_key_does_not_outlive_a_log_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person()
    laptop = await alice.log_in()
    begin = world.gateways[0].collaborators.sessions.begin
    ended: list[int] = []

    async def beaten(*args: Any, **named: Any) -> Any:
        ended.append((await laptop.call("DELETE", "/v1/sessions", gateway=1))[0])
        return await begin(*args, **named)

    monkeypatch.setattr(world.gateways[0].collaborators.sessions, "begin", beaten)
    assert await by_key(alice) == "revoked"
    assert ended == [204]
    families = await world.store.sessions.end(alice.tokens["user_id"], None, 1)
    assert families == [laptop.tokens["refresh_token"].split(".")[1]]


@pytest.mark.attack("log-ins-in-one-moment-add-more-devices-than-anyone-can-write-to")
async def test_no_account_has_more_devices_than_a_message_has_payloads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person()
    for number in range(wire.MAX_DEVICES - 2):
        another = Device(alice.tokens["user_id"], f"ANOTHER{number}", "another", 1)
        await world.store.accounts.add_device(another)
    arrived = asyncio.Barrier(2)  # both have counted when the first of them is added
    for gateway in world.gateways:
        add = gateway.collaborators.store.accounts.add_device

        async def together(device: Any, add: Any = add) -> None:
            await arrived.wait()
            await add(device)

        monkeypatch.setattr(gateway.collaborators.store.accounts, "add_device", together)
    body = {"username": alice.username, "password": PASSWORD}
    answers = await asyncio.gather(
        *(world.call("POST", "/v1/sessions", body, gateway=number) for number in (0, 1))
    )
    monkeypatch.undo()
    devices = (await alice.call("GET", "/v1/devices", expect=200))["devices"]
    taken = [answer["device_id"] for status, answer in answers if status == 201]
    assert set(taken) <= {each["device_id"] for each in devices}
    assert len(devices) == wire.MAX_DEVICES - 1 + len(taken) <= wire.MAX_DEVICES
    while len(devices) < wire.MAX_DEVICES:  # both have taken theirs back
        await alice.log_in()
        devices = (await alice.call("GET", "/v1/devices", expect=200))["devices"]
    status, problem = await world.call("POST", "/v1/sessions", body)
    assert (status, problem["code"]) == (413, "too_large")
    assert "20 devices" in problem["detail"]
    shown = ("device_id", "name", "created_at_ms")
    assert problem["devices"] == [{name: each[name] for name in shown} for each in devices]
    status, problem = await world.call("POST", "/v1/sessions", body | {"password": "another one"})
    assert (status, problem["code"], "devices" in problem) == (401, "bad_credentials", False)


async def test_the_end_of_other_sessions(world: World) -> None:
    alice = await world.person()
    others = [await alice.log_in(), await alice.log_in()]
    await alice.call("DELETE", "/v1/sessions", expect=204, gateway=1)
    assert [await code_of(each) for each in (alice, *others)] == ["", "revoked", "revoked"]
    assert [await refreshed(world, each.tokens["refresh_token"]) for each in others] == ["revoked"] * 2
    assert isinstance(await refreshed(world, alice.tokens["refresh_token"]), dict)


@pytest.mark.attack("guesses-at-the-old-password")
async def test_limits_slow_guesses_down_and_lock_no_owner_out(mongo_url: str, redis_url: str) -> None:
    limits = {
        "password_changes": Limit(0.01, 3),
        "logins_by_user": Limit(0.01, 3),
        "logins_by_device": Limit(0.01, 6),
        "challenges_by_address": Limit(0.01, 3),
    }
    async with running(Urls(mongo_url, redis_url), limits=limits) as narrow:
        alice = await narrow.person()
        thief = await alice.log_in()
        guesses = [await change(thief, old=f"guess {n}") for n in range(4)]
        assert guesses == ["bad_credentials"] * 3 + ["rate_limited"]
        assert await change(alice, keep_sessions=True) == "", "another session of the owner has its own count"
        for n in range(4):
            code = await logged_in(narrow, alice.username, f"guess {n}")
        assert code == "rate_limited"
        assert isinstance(await by_key(alice), dict), "guesses elsewhere do not touch the key's log-in"
        body = {"username": alice.username, "device_id": alice.device, "nonce": "n", "signature": "s"}
        seen = [(await narrow.call("POST", "/v1/sessions", body))[0] for _ in range(6)]
        assert (seen[0], seen[-1]) == (401, 429)
