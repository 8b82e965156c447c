"""Bad input over HTTP: each with its exact answer.

Long, because every wrong request stands here.
"""

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from cluster.log.numbers import raised
from roost import wire
from roost.clock import now_ms
from roost.ids import SEQ_LIMIT
from tests.browser_push import Browser, decoded
from tests.integration.api_world import (
    PASSWORD,
    SERVER_NAME,
    Person,
    Urls,
    World,
    message,
    new_id,
    running,
    until,
)
from tests.live.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as whole:
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alice(world: World) -> Person:
    return await world.person()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(world: World) -> Person:
    return await world.person()


async def refused(world: World, person: Person | None, method: str, path: str, **how: Any) -> tuple[int, str]:
    headers = how.pop("headers", {})
    if person is not None:
        headers = headers | {"Authorization": f"Bearer {person.token}"}
    status, body = await world.call(method, path, headers=headers, **how)
    assert isinstance(body, dict), (status, body)
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["type"].endswith(body["code"])
    assert body["request_id"]
    return status, body["code"]


RAW_BODIES = [
    (b"", "application/json", 422, "invalid"),
    (b"{", "application/json", 400, "bad_request"),
    (b"\xff\xfe", "application/json", 400, "bad_request"),
    (b"[" * 30_000, "application/json", 400, "bad_request"),
    (b"[]", "application/json", 422, "invalid"),
    (b"null", "application/json", 422, "invalid"),
    (b'"text"', "application/json", 422, "invalid"),
    (b"NaN", "application/json", 422, "invalid"),
    (b"{}", "application/json", 422, "invalid"),
    (b"{}", "text/plain", 415, "unsupported_media_type"),
    (b"a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    (b"{}", "application/json; charset=utf-8", 422, "invalid"),
    (b'{"username": "\\ud800", "password": "12345678"}', "application/json", 422, "invalid"),
    (b" " * 70_000, "application/json", 413, "too_large"),
]


@pytest.mark.parametrize(("data", "kind", "status", "code"), RAW_BODIES)
async def test_bodies(world: World, data: bytes, kind: str, status: int, code: str) -> None:
    answer = await refused(world, None, "POST", "/v1/accounts", data=data, headers={"Content-Type": kind})
    assert answer == (status, code)


@pytest.mark.attack("send a body without length that never ends", "it is counted as it comes")
async def test_oversize_without_length_is_cut_off_while_it_streams(world: World) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    answer = await refused(world, None, "POST", "/v1/accounts", data=endless(), headers=JSON)
    assert answer == (413, "too_large")


@pytest.mark.attack("send an endless body to {row}", "every address has a bound")
@pytest.mark.parametrize("path", ["/v1/media/uploads", "/v1/media/nothing", "/v1/mediation", "/v1/nothing"])
async def test_no_address_takes_an_endless_body(world: World, path: str) -> None:
    data = b" " * 70_000
    assert await refused(world, None, "POST", path, data=data, headers=JSON) == (413, "too_large")


async def test_a_message_longer_than_a_frame(world: World, alice: Person) -> None:
    body = io.BytesIO(b'{"id": "' + b"A" * wire.MAX_FRAME)
    answer = await refused(world, alice, "POST", "/v1/messages", data=body, headers=JSON)
    assert answer == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/accounts/", 404, "not_found"),
        ("GET", "/v1/accounts", 405, "method_not_allowed"),
        ("PUT", "/v1/messages", 405, "method_not_allowed"),
        ("GET", "/v1/me", 401, "unauthenticated"),
        ("GET", "/v1/stream", 404, "not_found"),
    ],
)
async def test_addresses(world: World, method: str, path: str, status: int, code: str) -> None:
    assert await refused(world, None, method, path) == (status, code)


ACCOUNTS = [
    ({"username": "ab"}, 422, "invalid"),
    ({"username": "a" * 33}, 422, "invalid"),
    ({"username": "with space"}, 422, "invalid"),
    ({"username": "é" * 5}, 422, "invalid"),
    ({"username": 7}, 422, "invalid"),
    ({"username": None}, 422, "invalid"),
    ({"password": "short"}, 422, "invalid"),
    ({"password": "x" * 1025}, 422, "invalid"),
    ({"display_name": "x" * 101}, 422, "invalid"),
]


@pytest.mark.parametrize(("changes", "status", "code"), ACCOUNTS, ids=str)
async def test_accounts(world: World, changes: dict[str, Any], status: int, code: str) -> None:
    body = {"username": "somebody", "password": PASSWORD} | changes
    assert await refused(world, None, "POST", "/v1/accounts", body=body) == (status, code)


async def test_username_is_taken_in_any_spelling(world: World, alice: Person) -> None:
    body = {"username": alice.username.upper(), "password": PASSWORD}
    assert await refused(world, None, "POST", "/v1/accounts", body=body) == (409, "username_taken")


@pytest.mark.attack("find a secret of a request in its refusal", "refusals do not repeat what was sent")
async def test_errors_never_repeat_a_secret(world: World) -> None:
    body = {"username": "x", "password": "tiny-s3"}
    _, answer = await world.call("POST", "/v1/accounts", body)
    assert "tiny-s3" not in json.dumps(answer)


MESSAGES: list[tuple[dict[str, Any], int, str]] = [
    ({"id": "no-uuid"}, 422, "invalid"),
    ({"id": "0199F0A8-7C1E-7A55-9B0E-3F6D5C2A1B00"}, 422, "invalid"),
    ({"id": "9b2f3d8e-7c1e-4a55-9b0e-3f6d5c2a1b00"}, 422, "invalid"),
    ({"id": new_id(8 * 24 * 3600 * 1000)}, 409, "id_expired"),
    ({"id": new_id(-20 * 60 * 1000)}, 409, "id_expired"),
    ({"id": 7}, 422, "invalid"),
    ({"to": "nobody.here"}, 404, "unknown_user"),
    ({"to": "no such name"}, 404, "unknown_user"),
    ({"suite": ""}, 422, "invalid"),
    ({"suite": "x" * 33}, 422, "invalid"),
    ({"sent_at_ms": -1}, 422, "invalid"),
    ({"sent_at_ms": 2**53}, 422, "invalid"),
    ({"sent_at_ms": 1.5}, 422, "invalid"),
    ({"sent_at_ms": True}, 422, "invalid"),
    ({"expires_in_s": 0}, 422, "invalid"),
    ({"urgent": "yes"}, 422, "invalid"),
    ({"payloads": {}}, 409, "device_mismatch"),
    ({"payloads": {"OTHERDEVICE": "AAAA"}}, 409, "device_mismatch"),
    ({"payloads": {"OTHERDEVICE": "not base64!"}}, 422, "invalid"),
    ({"payloads": {"OTHERDEVICE": wire.unpadded(b"x" * 65_537)}}, 413, "too_large"),
    ({"payloads": {f"D{number:09}": "AAAA" for number in range(65)}}, 413, "too_large"),
    ({"payloads": []}, 422, "invalid"),
]


@pytest.mark.parametrize(("changes", "status", "code"), MESSAGES, ids=lambda value: str(value)[:60])
async def test_messages(
    world: World, alice: Person, bob: Person, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await refused(world, alice, "POST", "/v1/messages", body=message(bob) | changes)
    assert answer == (status, code)


async def test_device_mismatch_says_what_is_missing_and_extra(alice: Person, bob: Person) -> None:
    body = message(bob, payloads={"OTHERDEVICE": "AAAA"})
    answer = await alice.call("POST", "/v1/messages", body, expect=409)
    assert (answer["missing"], answer["extra"]) == ([bob.device], ["OTHERDEVICE"])


async def test_recipient_without_keys(world: World, alice: Person) -> None:
    bare = await world.person(keys=False)
    answer = await alice.call("POST", "/v1/messages", message(bare), expect=409)
    assert (answer["missing"], answer["extra"]) == ([], [bare.device])


QUERIES = [
    ("/v1/sync?cursor=-1", 409, "cursor_invalid"),
    ("/v1/sync?cursor=abc", 409, "cursor_invalid"),
    ("/v1/sync?cursor=", 409, "cursor_invalid"),
    ("/v1/sync?cursor=9007199254740992", 409, "cursor_invalid"),
    ("/v1/sync?cursor=4294967296000", 409, "cursor_invalid"),
    ("/v1/sync?limit=0", 422, "invalid"),
    ("/v1/sync?limit=257", 422, "invalid"),
    ("/v1/sync?wait_s=61", 422, "invalid"),
    ("/v1/sync?wait_s=nan", 422, "invalid"),
    ("/v1/users/nobody.here", 404, "unknown_user"),
    ("/v1/users/no%20name", 404, "unknown_user"),
    ("/v1/users/nobody.here/presence", 404, "unknown_user"),
    ("/v1/conversations/nobody.here/messages", 404, "unknown_user"),
    ("/v1/messages/no-uuid", 404, "unknown_message"),
    (f"/v1/messages/{new_id()}", 404, "unknown_message"),
    (f"/v1/messages/{new_id()}?to=nobody.here", 404, "unknown_user"),
]


@pytest.mark.parametrize(("path", "status", "code"), QUERIES)
async def test_queries(world: World, alice: Person, path: str, status: int, code: str) -> None:
    assert await refused(world, alice, "GET", path) == (status, code)


PUSH = "/v1/devices/current/push"


def browser(**changes: Any) -> dict[str, Any]:
    return Browser("https://updates.push.services.mozilla.com/wpush/v2/gAAA").registration | changes


POSTS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/acks", {"seq": 2**52}, 409, "cursor_invalid"),
    ("POST", "/v1/acks", {"seq": -1}, 422, "invalid"),
    ("POST", "/v1/acks", {"seq": "1"}, 422, "invalid"),
    ("POST", "/v1/reads", {"peer": "nobody.here", "seq": 1}, 404, "unknown_user"),
    ("POST", "/v1/typing", {"peer": "nobody.here", "state": "typing"}, 404, "unknown_user"),
    ("POST", "/v1/typing", {"peer": "alice", "state": "dancing"}, 422, "invalid"),
    ("PUT", "/v1/blocks/nobody.here", None, 404, "unknown_user"),
    ("PATCH", "/v1/me", {"last_seen": "some"}, 422, "invalid"),
    ("PUT", PUSH, {"provider": "apns", "token": "x"}, 422, "invalid"),
    ("PUT", PUSH, {"provider": "fcm", "token": ""}, 422, "invalid"),
    ("PUT", PUSH, browser(keys={"p256dh": "BA", "auth": "A"}), 422, "invalid"),
    ("PUT", PUSH, browser(keys={}), 422, "invalid"),
    ("PUT", PUSH, browser(endpoint="http://127.0.0.1/x"), 422, "invalid"),
    ("PUT", PUSH, browser(endpoint="https://evil.example/"), 422, "invalid"),
    ("PUT", PUSH, browser(endpoint="https://" + "x" * 1200), 422, "invalid"),
    ("DELETE", "/v1/devices/NOSUCHDEVICE", None, 404, "unknown_device"),
    ("POST", "/v1/keys/query", {"device_keys": {"bob": []}}, 422, "invalid"),
    ("POST", "/v1/keys/claim", {"one_time_keys": {"@bob:x.org": {"D": "curve25519"}}}, 422, "invalid"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), POSTS)
async def test_other_calls(
    world: World, alice: Person, method: str, path: str, body: Any, status: int, code: str
) -> None:
    assert await refused(world, alice, method, path, body=body) == (status, code)


@pytest.mark.attack("call with an Authorization header that is none", "only Bearer tokens that verify")
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z"])
async def test_authorization_headers(world: World, header: str) -> None:
    headers = {"Authorization": header}
    assert await refused(world, None, "GET", "/v1/me", headers=headers) == (401, "unauthenticated")


# --- keys ----------------------------------------------------------------------------------------


def forged(good: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return good | changes


def unsigned(keys: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in keys.items() if name != "signatures"}


@pytest.mark.attack(
    "upload device keys of another user or unsigned ones",
    "address, device and signature are checked",
)
async def test_device_keys_must_be_ones_own_and_signed(world: World) -> None:
    carol = await world.person(keys=False)
    good = carol.device_keys()
    public = dict(good["keys"])
    zero = public | {f"curve25519:{carol.device}": wire.unpadded(bytes(32))}
    cases: list[tuple[dict[str, Any], str]] = [
        (forged(good, user_id="@somebody:example.org"), "invalid"),
        (forged(good, device_id="OTHERDEVICE"), "invalid"),
        (forged(good, algorithms="m"), "invalid"),
        (forged(good, keys=None), "invalid"),
        (forged(good, keys=zero), "invalid"),
        (forged(good, keys={f"ed25519:{carol.device}": "AAAA"}), "invalid"),
        (forged(good, signatures={}), "invalid_signature"),
        (forged(good, signatures={carol.address: {f"ed25519:{carol.device}": "AAAA"}}), "invalid_signature"),
        (forged(good, algorithms=["m.other"]), "invalid_signature"),
        (carol.signed(unsigned(good) | {"more": 1}), "invalid_signature"),
        (forged(good, algorithms=["x" * 5_000]), "invalid"),
        (forged(good, algorithms=["\ud800"]), "invalid"),
    ]
    for keys, code in cases:
        answer = await refused(world, carol, "POST", "/v1/keys/upload", body={"device_keys": keys})
        assert answer[1] == code, keys


@pytest.mark.attack(
    "replace a one-time key under its id",
    "a key id has the bytes that it was first uploaded with",
)
async def test_key_ids_are_used_once(world: World) -> None:
    carol = await world.person()
    again = await carol.call("POST", "/v1/keys/upload", {"device_keys": carol.device_keys()}, expect=200)
    assert again == {"one_time_key_counts": {}}
    changed = carol.signed(unsigned(carol.device_keys()) | {"algorithms": []})
    assert await refused(world, carol, "POST", "/v1/keys/upload", body={"device_keys": changed}) == (
        409,
        "key_conflict",
    )
    first = carol.one_time_keys("AAAA")
    counts = await carol.call("POST", "/v1/keys/upload", {"one_time_keys": first}, expect=200)
    assert counts == {"one_time_key_counts": {"signed_curve25519": 1}}
    await carol.call("POST", "/v1/keys/upload", {"one_time_keys": first}, expect=200)
    body = {"one_time_keys": carol.one_time_keys("AAAA")}
    assert await refused(world, carol, "POST", "/v1/keys/upload", body=body) == (409, "key_conflict")


@pytest.mark.attack("upload one-time keys signed by another device", "the signature of one's own device")
async def test_one_time_keys_of_another_user(world: World, alice: Person) -> None:
    carol = await world.person()
    body = {"one_time_keys": alice.one_time_keys("AAAA")}
    assert await refused(world, carol, "POST", "/v1/keys/upload", body=body) == (422, "invalid_signature")
    body = {"one_time_keys": {"curve25519:AAAA": {"key": "AAAA"}}}
    assert await refused(world, carol, "POST", "/v1/keys/upload", body=body) == (422, "invalid")
    bare = await world.person(keys=False)
    body = {"one_time_keys": bare.one_time_keys("AAAA")}
    assert await refused(world, bare, "POST", "/v1/keys/upload", body=body) == (422, "invalid")


async def test_query_and_claim(world: World, alice: Person) -> None:
    carol = await world.person()
    upload = {"one_time_keys": carol.one_time_keys("A", "B"), "fallback_keys": carol.one_time_keys("F")}
    await carol.call("POST", "/v1/keys/upload", upload, expect=200)
    asked: dict[str, list[str]] = {
        carol.address: [],
        f"@nobody.here:{SERVER_NAME}": [],
        "@x.y.z:elsewhere.net": [],
    }
    found = await alice.call("POST", "/v1/keys/query", {"device_keys": asked}, expect=200)
    assert found == {
        "device_keys": {carol.address: {carol.device: carol.device_keys()}},
        "failures": {"elsewhere.net": {}},
        "master_keys": {},
        "self_signing_keys": {},
    }
    claim = {"one_time_keys": {carol.address: {carol.device: "signed_curve25519"}}}
    given = []
    for _ in range(4):
        answer = await alice.call("POST", "/v1/keys/claim", claim, expect=200)
        given += answer["one_time_keys"][carol.address][carol.device].keys()
    assert given[:2] == ["signed_curve25519:A", "signed_curve25519:B"]
    assert given[2:] == ["signed_curve25519:F", "signed_curve25519:F"]


async def test_a_device_is_told_what_is_left_of_its_keys(world: World, alice: Person) -> None:
    carol = await world.person()
    upload = {"one_time_keys": carol.one_time_keys("A", "B"), "fallback_keys": carol.one_time_keys("F")}
    await carol.call("POST", "/v1/keys/upload", upload, expect=200)
    claim = {"one_time_keys": {carol.address: {carol.device: "signed_curve25519"}}}

    async def told() -> tuple[Any, Any]:
        page = await carol.call("GET", "/v1/sync", expect=200)
        async with carol.stream() as socket:
            await socket.send_json({"type": "hello", "token": carol.token})
            ready = await until(socket, "ready")
        names = ("one_time_key_counts", "unused_fallback_key_types")
        assert [page[name] for name in names] == [ready[name] for name in names]
        return tuple(ready[name] for name in names)  # type: ignore[return-value]

    assert await told() == ({"signed_curve25519": 2}, ["signed_curve25519"])
    for left in ({"signed_curve25519": 1}, {}):
        await alice.call("POST", "/v1/keys/claim", claim, expect=200)
        assert await told() == (left, ["signed_curve25519"])
    await alice.call("POST", "/v1/keys/claim", claim, expect=200)
    assert await told() == ({}, [])
    more = {"fallback_keys": carol.one_time_keys("G")}
    await carol.call("POST", "/v1/keys/upload", more, expect=200)
    assert await told() == ({}, ["signed_curve25519"])


# --- messages ------------------------------------------------------------------------------------


async def test_send_sync_ack(alice: Person, bob: Person) -> None:
    status, accepted = await alice.send(bob, b"one")
    assert status == 202, accepted
    page = await bob.call("GET", "/v1/sync?wait_s=10", expect=200)
    entry = page["entries"][-1]
    assert (entry["type"], entry["id"], entry["seq"]) == ("message", accepted["id"], accepted["seq"])
    assert (entry["from"], entry["payload"]) == (alice.username, wire.unpadded(b"one"))
    await bob.call("POST", "/v1/acks", {"seq": page["cursor"]}, expect=204)
    after = await bob.call("GET", "/v1/sync", expect=200)
    assert after["entries"] == []
    assert after["cursor"] == page["cursor"]


@pytest.mark.attack(
    "send another message under an id that was used",
    "a digest of the content is kept with the answer",
)
async def test_same_id_same_answer_other_content_refused(alice: Person, bob: Person) -> None:
    message_id = new_id()
    first = await alice.send(bob, b"one", message_id=message_id)
    again = await alice.send(bob, b"one", message_id=message_id)
    assert first[0] == 202
    assert again == first
    status, problem = await alice.send(bob, b"two", message_id=message_id)
    assert (status, problem["code"]) == (409, "id_reused")


async def test_old_ids_are_looked_up_when_redis_has_forgotten(
    world: World, alice: Person, bob: Person, redis_url: str
) -> None:
    message_id = new_id(60_000)
    first = await alice.send(bob, b"one", message_id=message_id)
    assert first[0] == 202, first
    stored = False
    while not stored:
        stored = await world.store.mailboxes.exists((await me(bob))["user_id"], first[1]["seq"])
    world.gateways[0].collaborators.answers._recent.clear()
    await flush(redis_url)
    again = await alice.send(bob, b"one", message_id=message_id)
    assert again == first
    status, problem = await alice.send(bob, b"two", message_id=new_id(60_000))
    assert status == 202, problem
    world.gateways[0].collaborators.answers._recent.clear()
    await flush(redis_url)
    status, problem = await alice.send(bob, b"two", message_id=message_id)
    assert (status, problem["code"]) == (409, "id_reused")


async def me(person: Person) -> Any:
    return await person.call("GET", "/v1/me", expect=200)


async def flush(redis_url: str) -> None:
    from redis.asyncio import Redis  # noqa: PLC0415 -- only here a test touches the server itself

    client: Any = Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()


async def test_a_gateway_without_a_map_says_so_when_asked_for_a_message(
    alice: Person, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await world.person()
    _, accepted = await alice.send(bob)
    monkeypatch.setattr(world.gateways[0].collaborators.sequencer, "_bases", [])
    status, problem = await alice.call("GET", f"/v1/messages/{accepted['id']}")
    assert (status, problem["code"]) == (503, "unavailable")


async def test_state_of_a_message(alice: Person, world: World) -> None:
    bob = await world.person()
    _, accepted = await alice.send(bob)
    path = f"/v1/messages/{accepted['id']}"
    state = await alice.call("GET", path, expect=200)
    assert state["state"] in ("accepted", "stored")
    assert (state["to"], state["seq"]) == (bob.username, accepted["seq"])
    status, _ = await bob.call("GET", path)
    assert status == 404
    await bob.call("GET", "/v1/sync?wait_s=10", expect=200)
    await bob.call("POST", "/v1/acks", {"seq": accepted["seq"]}, expect=204)
    await settled(alice, path, "delivered")
    # The time comes with the receipt, and the mailbox knows before.
    state = await until_found(
        lambda: alice.call("GET", path, expect=200), lambda found: "delivered_at_ms" in found
    )
    assert state["state"] == "delivered"
    assert state["delivered_at_ms"] >= state["accepted_at_ms"]
    await bob.call("POST", "/v1/reads", {"peer": alice.username, "seq": accepted["seq"]}, expect=204)
    assert (await settled(alice, path, "read"))["read_at_ms"] > 0
    world.gateways[0].collaborators.answers._recent.clear()
    hinted = await alice.call("GET", f"{path}?to={bob.username}", expect=200)
    assert hinted["state"] == "read"


async def settled(person: Person, path: str, wanted: str) -> Any:
    deadline = now_ms() + 10_000
    while now_ms() < deadline:
        state = await person.call("GET", path, expect=200)
        if state["state"] == wanted:
            return state
    raise AssertionError(f"still {state}")


async def test_conversations_and_history(world: World) -> None:
    carol, dave = await world.person(), await world.person()
    seqs = [(await carol.send(dave, f"{number}".encode()))[1]["seq"] for number in range(5)]
    await dave.call("GET", "/v1/sync?wait_s=10", expect=200)
    deadline = now_ms() + 10_000
    listed: list[Any] = []
    while now_ms() < deadline and not (listed and listed[0]["unread"] == 5):
        listed = (await dave.call("GET", "/v1/conversations", expect=200))["conversations"]
    assert [(each["peer"], each["last_seq"], each["unread"]) for each in listed] == [
        (carol.username, seqs[4], 5)
    ]
    path = f"/v1/conversations/{carol.username}/messages"
    first = await dave.call("GET", f"{path}?limit=3", expect=200)
    assert [each["seq"] for each in first["messages"]] == seqs[:1:-1]
    assert first["more"]
    rest = await dave.call("GET", f"{path}?before={first['messages'][-1]['seq']}", expect=200)
    assert [each["seq"] for each in rest["messages"]] == seqs[1::-1]
    assert not rest["more"]


async def test_entries_only_in_memory_are_shown(mongo_url: str, redis_url: str) -> None:
    async with running(Urls(mongo_url, redis_url)) as world:
        world.host._writer.entries.linger_s = 300.0  # nothing is stored as long as this test takes
        carol, dave = await world.person(), await world.person()
        seqs = [(await carol.send(dave, f"{number}".encode()))[1]["seq"] for number in range(5)]
        deadline, cursor = now_ms() + 10_000, 0
        while now_ms() < deadline and cursor < seqs[-1]:
            page = await dave.call("GET", f"/v1/sync?wait_s=1&cursor={cursor}", expect=200)
            cursor = page["cursor"]
        [listed] = (await dave.call("GET", "/v1/conversations", expect=200))["conversations"]
        assert (listed["peer"], listed["last_seq"], listed["unread"]) == (carol.username, seqs[4], 5)
        path = f"/v1/conversations/{carol.username}/messages"
        first = await dave.call("GET", f"{path}?limit=3", expect=200)
        assert ([each["seq"] for each in first["messages"]], first["more"]) == (seqs[:1:-1], True)
        rest = await dave.call("GET", f"{path}?before={seqs[2]}", expect=200)
        assert ([each["seq"] for each in rest["messages"]], rest["more"]) == (seqs[1::-1], False)
        account = await world.store.accounts.user_by_name(dave.username)
        assert account is not None
        assert await world.store.mailboxes.range(account.user_id, 0, SEQ_LIMIT - 1, 10) == [], (
            "it was in memory only"
        )


async def test_a_block_does_not_show_after_the_numbers_start_over(mongo_url: str, redis_url: str) -> None:
    async with running(Urls(mongo_url, redis_url)) as world:
        carol, dave, erin = [await world.person() for _ in range(3)]
        await dave.call("PUT", f"/v1/blocks/{carol.username}", expect=204)
        sent = [await carol.send(peer, b"hello") for peer in (dave, erin)]
        paths = [f"/v1/messages/{accepted['id']}" for _, accepted in sent]
        for path in paths:
            await settled(carol, path, "stored")
        states = await world.store.cluster.log_states()
        await world.store.cluster.put_log_states(
            [raised(state, state.stored, 0) for state in states.values()]
        )
        for path, (_, accepted), peer in zip(paths, sent, (dave, erin), strict=True):
            state = await carol.call("GET", path, expect=200)
            assert (state["state"], state["seq"]) == ("stored", accepted["seq"])
            assert await carol.send(peer, b"hello", message_id=accepted["id"]) == (202, accepted)


async def test_key_changes_reach_those_who_talk(world: World) -> None:
    carol, dave = await world.person(), await world.person()
    _, accepted = await carol.send(dave)
    await dave.call("GET", "/v1/sync?wait_s=10", expect=200)
    await dave.call("POST", "/v1/acks", {"seq": accepted["seq"]}, expect=204)
    await settled(carol, f"/v1/messages/{accepted['id']}", "delivered")
    tablet = await dave.log_in()
    await tablet.publish_keys()
    assert await key_entries(carol, tablet, 1) == [(dave.username, "added")]
    status, problem = await carol.send(dave)
    assert (status, problem["code"], problem["missing"]) == (409, "device_mismatch", [tablet.device])
    await dave.call("DELETE", f"/v1/devices/{tablet.device}", expect=204)
    assert (await key_entries(carol, tablet, 2))[1] == (dave.username, "removed")
    assert (await carol.send(dave))[0] == 202


async def key_entries(person: Person, of: Person, wanted: int) -> list[tuple[str, str]]:
    """Return what a person was told of a device. (Of the first one, it may hear late.)"""
    found: list[tuple[str, str]] = []
    deadline = now_ms() + 10_000
    while now_ms() < deadline and len(found) < wanted:
        page = await person.call("GET", "/v1/sync?cursor=0&wait_s=1&limit=256", expect=200)
        found = [
            (each["user"], each["change"])
            for each in page["entries"]
            if each["type"] == "keys" and each["device"] == of.device
        ]
    return found


async def test_profile_devices_push_and_blocks(world: World) -> None:
    carol, dave = await world.person(), await world.person()
    changed = await carol.call(
        "PATCH", "/v1/me", {"display_name": "Carol", "read_receipts": False}, expect=200
    )
    assert (changed["display_name"], changed["read_receipts"]) == ("Carol", False)
    shown = await dave.call("GET", f"/v1/users/{carol.username.upper()}", expect=200)
    assert shown["display_name"] == "Carol"
    await carol.call("PUT", PUSH, {"provider": "fcm", "token": "t0k"}, expect=204)
    (device,) = (await carol.call("GET", "/v1/devices", expect=200))["devices"]
    assert (device["push"], device["has_keys"], device["current"]) == (True, True, True)
    await carol.call("DELETE", "/v1/devices/current/push", expect=204)
    await carol.call("PUT", f"/v1/blocks/{dave.username}", expect=204)
    assert await carol.call("GET", "/v1/blocks", expect=200) == {"blocks": [dave.username]}
    _, blocked = await dave.send(carol)
    # A block cannot be told from a recipient who is away.
    await settled(dave, f"/v1/messages/{blocked['id']}", "stored")
    await carol.call("DELETE", f"/v1/blocks/{dave.username}", expect=204)
    assert await carol.call("GET", "/v1/blocks", expect=200) == {"blocks": []}
    _, after = await dave.send(carol)
    page = await carol.call("GET", "/v1/sync?wait_s=10", expect=200)
    assert [each["id"] for each in page["entries"] if each["type"] == "message"] == [after["id"]]


async def test_without_fcm_its_tokens_are_refused_and_browsers_are_taken(
    mongo_url: str, redis_url: str
) -> None:
    async with running(Urls(mongo_url, redis_url), api={"fcm": False}) as world:
        carol = await world.person()
        refusal = await carol.call("PUT", PUSH, {"provider": "fcm", "token": "t0k"}, expect=422)
        assert (refusal["code"], "Web Push" in refusal["detail"]) == ("invalid", True)
        await carol.call("PUT", PUSH, browser(), expect=204)


async def test_a_browser_subscribes(world: World) -> None:
    carol = await world.person()
    given = await carol.call("GET", "/v1/push/webpush", expect=200)
    key = decoded(given["application_server_key"])
    assert (len(key), key[0]) == (65, 4)
    assert await refused(world, None, "GET", "/v1/push/webpush") == (401, "unauthenticated")
    await carol.call("PUT", PUSH, browser(), expect=204)
    (device,) = (await carol.call("GET", "/v1/devices", expect=200))["devices"]
    assert device["push"]
    assert set(device) == {"device_id", "name", "created_at_ms", "has_keys", "push", "current"}
    await carol.call("DELETE", "/v1/devices/current/push", expect=204)
    (device,) = (await carol.call("GET", "/v1/devices", expect=200))["devices"]
    assert not device["push"]


REFUSED = {
    "keys": (browser(keys={"p256dh": "BA", "auth": "A" * 22}), "p256dh is"),
    "endpoint": (browser(endpoint="https://evil.example/"), "not one of the push services"),
}


@pytest.mark.parametrize(("body", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_is_wrong_with_a_subscription_is_said(
    world: World, alice: Person, body: dict[str, Any], said: str
) -> None:
    headers = {"Authorization": f"Bearer {alice.token}"}
    status, problem = await world.call("PUT", PUSH, body=body, headers=headers)
    assert (status, problem["code"]) == (422, "invalid")
    assert said in problem["detail"]


async def test_presence(alice: Person, bob: Person) -> None:
    path = f"/v1/users/{bob.username}/presence"
    assert (await alice.call("GET", path, expect=200))["state"] == "offline"
    async with bob.hello():
        assert (await alice.call("GET", path, expect=200))["state"] == "online"


async def test_probes_and_documents(world: World) -> None:
    assert await world.call("GET", "/healthz") == (200, {"status": "ok"})
    status, ready = await world.call("GET", "/readyz")
    assert (status, ready["ready"], ready["checks"]["hosts"]) == (200, True, "1/1")
    # Metrics are for the operator: they are on the node's scrape target, not where clients come in.
    assert (await world.call("GET", "/metrics"))[0] == 404
    assert b"roost_messages_accepted_total" in await world.gateways[0].metrics()
    status, document = await world.call("GET", "/openapi.json")
    assert status == 200
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            assert "HTTPValidationError" not in json.dumps(call), (method, path)
    status, _ = await world.call("GET", "/docs")
    assert status == 200
    status, keys = await world.call("GET", "/.well-known/jwks.json")
    assert (status, keys["keys"][0]["alg"]) == (200, "EdDSA")


async def test_request_ids_differ(world: World) -> None:
    async with aiohttp.ClientSession() as http:
        ids = set()
        for _ in range(3):
            async with http.get(world.addresses[0] + "/healthz") as answer:
                ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 3


async def test_the_page_for_people(world: World) -> None:
    status, page = await world.call("GET", "/status")
    assert status == 200
    assert b"readyz" in page


@pytest.mark.attack("load a script of another host into the server's pages", "the Content-Security-Policy")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/status", "/docs"])
async def test_pages_load_nothing_from_elsewhere(world: World, method: str, path: str) -> None:
    async with world.http.request(method, world.addresses[0] + path) as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (method == "HEAD") == (page == "")
    assert "<style" not in page
    assert "<script>" not in page
    for loaded in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
        assert "//" not in loaded
        status, _ = await world.call("GET", f"/{loaded}")
        assert status == 200, loaded
