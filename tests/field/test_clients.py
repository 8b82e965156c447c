"""Clients that others try to end: strangers, what stands in front of the server, clocks, sizes, programs."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PublicKey, SealedBox

from roost import client as sdk
from roost.client.transport import send_body
from roost.clock import now_ms
from roost.crypto import DeviceSecrets
from roost.crypto.keys import public_half, signed_key
from roost.crypto.padding import pad
from roost.errors import Unavailable
from roost.ids import address_of
from roost.wire import MAX_DEVICES, Send, unpadded
from tests.field.front import Weather
from tests.field.people import Person, World
from tests.live.app import PASSWORD
from tests.live.running import System


@pytest.fixture
async def world(system: System) -> AsyncIterator[World]:
    async with sdk.connections() as http, AsyncExitStack() as stack:
        yield World(system.http, http, stack)


# --- strangers --------------------------------------------------------------------------------------


def with_heading(heading: bytes) -> Callable[[Person, bytes], bytes]:
    """Return what seals a message with any heading to a key."""

    def sealed(sender: Person, key: bytes) -> bytes:
        profile = sender.client.profile
        signing = DeviceSecrets(profile.curve25519, profile.ed25519).signing_key
        body = len(heading).to_bytes(2, "big") + heading + b"x"
        plain = signing.sign(b"roost.sealed.v1\0" + body).signature + body
        return bytes(SealedBox(PublicKey(key)).encrypt(pad(plain)))

    return sealed


PAYLOADS: dict[str, Callable[[Person, bytes], bytes]] = {
    "opening brackets": with_heading(b"[" * 60_000),
    "brackets within the bound": with_heading(b"[" * 1_000),
    "objects": with_heading(b'{"from":' * 7_000),
    "a number without end": with_heading(b"9" * 60_000),
    "half a surrogate": with_heading(b'{"from":"\\ud800"}'),
    "not UTF-8": with_heading(b'{"from":"\xff\xfe"}'),
    "no heading": with_heading(b""),
    "not sealed": lambda _sender, _key: secrets.token_bytes(300),
    "one byte": lambda _sender, _key: b"x",
    "zeros only": lambda _sender, key: bytes(SealedBox(PublicKey(key)).encrypt(bytes(60_000))),
}


async def send_raw(sender: Person, to: Person, payload: bytes) -> None:
    frame = await sender.client.sealed(sender.client.compose(to.name, "x"))
    raw = Send(frame.id, frame.to, frame.sent_at_ms, frame.suite, dict.fromkeys(frame.payloads, payload))
    await sender.client.api.call("POST", "/v1/messages", send_body(raw))


@pytest.mark.attack("end a client by a payload", "malformed, and the next one is read")
async def test_no_payload_ends_a_client(world: World) -> None:
    mallory, alice, bob = [await world.person() for _ in range(3)]
    key = DeviceSecrets(bob.client.profile.curve25519, bytes(32)).curve25519_public
    for name, made in PAYLOADS.items():
        await send_raw(mallory, bob, made(mallory, key))
        await alice.writes(bob, f"after {name}")
    await bob.hears(lambda: len(bob.all(sdk.Undecryptable)) == len(PAYLOADS), "all of them")
    await bob.again()
    await alice.writes(bob, "after a restart")
    assert bob.all(sdk.Disconnected) == []
    assert bob.texts == [*(f"after {name}" for name in PAYLOADS), "after a restart"]


def nested(depth: int) -> Any:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    return deep


UNSIGNED: dict[str, dict[str, Any]] = {
    "deep": {"unsigned": nested(400)},
    "very deep": {"unsigned": nested(900)},
    "half a surrogate": {"unsigned": {"device_display_name": "\ud800"}},
    "long": {"more": "x" * 15_000},
    "many": {f"more{number}": number for number in range(500)},
}


@pytest.mark.attack("hold up a client by odd keys: {row}", "only known members are taken")
@pytest.mark.parametrize("odd", UNSIGNED.values(), ids=UNSIGNED)
async def test_odd_keys_hold_up_no_one(world: World, odd: dict[str, Any]) -> None:
    mallory, alice, bob = [await world.person() for _ in range(3)]
    device = await mallory.device()
    public = public_half(secrets.token_bytes(32))
    key = signed_key(public, device.address, device.device, device.secrets)
    one_time = {"signed_curve25519:A": key | odd}
    upload = {"device_keys": device.keys() | odd, "one_time_keys": one_time}
    assert (await device.call("/v1/keys/upload", upload))[0] == 200
    other = address_of(alice.name, alice.client.profile.server_name)
    asked = {"device_keys": {device.address: [], other: []}}
    found = (await alice.client.api.call("POST", "/v1/keys/query", asked))["device_keys"]
    assert found[device.address][device.device] == device.keys()
    assert list(found[other]) == [alice.client.profile.device_id]
    claim = {"one_time_keys": {device.address: {device.device: "signed_curve25519"}}}
    claimed = await alice.client.api.call("POST", "/v1/keys/claim", claim)
    assert claimed["one_time_keys"][device.address][device.device] == {"signed_curve25519:A": key}
    await mallory.writes(bob, "from mallory")
    await alice.writes(bob, "from alice")
    await bob.writes(mallory, "back")


SIGNED: dict[str, dict[str, Any]] = {
    "more than 4 KiB": {"algorithms": ["x" * 5_000]},
    "half a surrogate": {"algorithms": ["\ud800"]},
    "a list for keys": {"keys": nested(400)},
    "a number for a signature": {"signatures": {"x": {"y": 7}}},
    "nothing": {"keys": None},
}


async def test_keys_of_another_form_are_refused(world: World) -> None:
    device = await (await world.person()).device()
    for odd in SIGNED.values():
        status, answer = await device.call("/v1/keys/upload", {"device_keys": device.keys() | odd})
        assert (status, answer["code"]) == (422, "invalid"), odd


# --- what stands in front of the server -------------------------------------------------------------

SIDES = 4
JSON_TYPE = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}

WEATHER = {
    "401 of a proxy": Weather(401),
    "401 in JSON": Weather(401, b'{"code": "revoked"}', JSON_TYPE),
    "401 with a code of no one": Weather(401, b'{"code": "expired"}', PROBLEM),
    "403": Weather(403),
    "default backend": Weather(404, b"default backend - 404", {"Content-Type": "text/plain"}),
    "404 in JSON": Weather(404, b'{"code": "not_found"}', JSON_TYPE),
    "405": Weather(405, b""),
    "407": Weather(407),
    "413": Weather(413),
    "422 of another program": Weather(422, b'{"detail": []}', JSON_TYPE),
    "500 without a word": Weather(500, b""),
    "502": Weather(502),
    "503, a far Retry-After": Weather(503, headers={"Retry-After": "0"}),
    "511": Weather(511),
    "captive portal": Weather(302, b"", {"Location": "http://127.0.0.1:9/login"}),
    "a redirect in a circle": Weather(308, b"", {"Location": "{path}"}),
    "a redirect to nowhere": Weather(301, b"", {}),
    "200 with HTML": Weather(200),
    "200, empty": Weather(200, b"", {}),
    "200, another shape": Weather(200, b"{}", JSON_TYPE),
    "200, a list": Weather(200, b"[]", JSON_TYPE),
    "200, cut short": Weather(200, b'{"device_keys": {', JSON_TYPE),
    "200, brackets": Weather(200, b"[" * 100_000, JSON_TYPE),
    "204": Weather(204, b"", {}),
}


@pytest.mark.attack(
    "end a client's session by an answer that is not the server's: {row}",
    "only the contract's own words end a session",
)
@pytest.mark.parametrize("renew", [True, False], ids=["to be renewed", "fresh"])
async def test_only_the_server_ends_a_session(world: World, renew: bool) -> None:  # noqa: FBT001
    """With a token that is to be renewed only that is asked for, with a fresh one the stream is."""
    bob = await world.person()

    async def connect_in(names: list[str]) -> None:
        front = await world.front()
        alice = await world.person(front.url)
        for name in names:
            front.answered, front.weather = 0, WEATHER[name]
            if renew:
                alice.client.profile.tokens.expires_at_ms = 0
            await front.cut()
            await alice.client.send(bob.name, name)
            await alice.hears(lambda: front.answered >= 4, f"requests in {name}")
            front.weather = None
            await bob.hears(lambda n=name: n in bob.texts, name)
        assert alice.all(sdk.Failed) == [end for end in alice.all(sdk.Disconnected) if end.final] == []

    await side_by_side(connect_in)


@pytest.mark.attack(
    "have a message given up by an answer that is not the server's",
    "only the contract's own words end a message",
)
async def test_only_the_server_ends_a_message(world: World) -> None:
    """Polls get through, and nothing that is posted."""
    bob = await world.person()

    async def write_in(names: list[str]) -> None:
        front = await world.front()
        alice = await world.person(front.url, mode="poll")
        await alice.writes(bob, f"before {names[0]}")
        for name in names:
            weather, front.answered = WEATHER[name], 0
            front.weather = Weather(weather.status, weather.body, weather.headers, only=("POST",))
            alice.client._engine.requests.want_keys(bob.name)
            await alice.client.send(bob.name, name)
            await alice.hears(lambda: front.answered >= 2, f"requests in {name}")
            front.weather = None
            await bob.hears(lambda n=name: n in bob.texts, name)
        assert alice.all(sdk.Failed) == alice.all(sdk.KeyChanged) == []
        assert [end for end in alice.all(sdk.Disconnected) if end.final] == []

    await side_by_side(write_in)
    assert len(bob.texts) == len(WEATHER) + SIDES


async def side_by_side(each: Callable[[list[str]], Awaitable[None]]) -> None:
    """Share the weathers out."""
    names = list(WEATHER)
    await asyncio.gather(*(each(names[start::SIDES]) for start in range(SIDES)))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_server_that_redirects_is_followed(world: World, status: int) -> None:
    front, bob = await world.front(), await world.person()
    front.weather = Weather(status, b"", {"Location": world.server + "{path}"})
    alice = await world.person(front.url)
    asked = front.answered
    await alice.writes(bob, "hello")
    await bob.writes(alice, "back")
    assert front.answered == asked, "it is asked once"
    assert (await alice.again()).client.profile.server == front.url


@pytest.mark.attack(
    "redirect a client and its token to another host",
    "it does not follow, and says where it was sent",
)
@pytest.mark.parametrize(
    "location", ["/login", "//127.0.0.1:9/other", "http://127.0.0.1:9/login?next={path}"]
)
async def test_a_redirect_to_elsewhere_is_named(world: World, location: str) -> None:
    front = await world.front()
    front.weather = Weather(302, b"", {"Location": location})
    with pytest.raises(Unavailable, match="redirect to"):
        await world.person(front.url)


# --- clocks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_ms", [600_000, -8 * 86_400_000, 8 * 86_400_000])
async def test_a_clock_that_is_set_while_connected_fails_no_message(world: World, ahead_ms: int) -> None:
    ahead = [0]
    alice = await world.person(clock=lambda: now_ms() + ahead[0])
    bob = await world.person()
    await alice.writes(bob, "before")
    ahead[0] = ahead_ms
    await alice.writes(bob, "after")
    await alice.again()
    await alice.writes(bob, "after a restart")
    assert alice.all(sdk.Failed) == alice.all(sdk.IdChanged) == []


async def test_what_was_written_offline_with_a_wrong_clock_gets_another_id(world: World) -> None:
    ahead = [0]
    alice = await world.person(clock=lambda: now_ms() + ahead[0])
    bob = await world.person()
    await alice.client.close()
    ahead[0] = 3_600_000
    sleeping = sdk.Client.resume(alice.keystore, http=world.http, options=alice.options)
    first, second = [await sleeping.send(bob.name, text) for text in ("one", "two")]
    await alice.begin(sleeping)
    await alice.hears(lambda: len(alice.all(sdk.Accepted)) == 2, "answers")
    await bob.hears(lambda: bob.texts == ["one", "two"], "both")
    changed = alice.all(sdk.IdChanged)
    assert [each.id for each in changed] == [first, second]
    assert [each.id for each in bob.all(sdk.MessageReceived)] == [each.new_id for each in changed]
    assert alice.all(sdk.Failed) == []


# --- sizes ------------------------------------------------------------------------------------------


WAYS: tuple[dict[str, Any], ...] = ({"mode": "poll"}, {"subprotocol": "roost.v1.json"}, {})


async def test_the_longest_message_reaches_a_user_with_all_devices_unless_a_proxy_says_no(
    world: World,
) -> None:
    crowded = await world.person()
    for _ in range(MAX_DEVICES - 1):
        await (await crowded.device()).publish()
    for number, way in enumerate(WAYS):
        alice = await world.person(**way)
        await alice.writes(crowded, f"{number}" * sdk.MAX_CONTENT)
        assert alice.all(sdk.Failed) == alice.all(sdk.Disconnected) == []
    front = await world.front(frame_limit=128 * 1024)
    alice, carol = await world.person(front.url), await world.person()
    large = await alice.client.send(crowded.name, "x" * sdk.MAX_CONTENT)
    small = await alice.client.send(crowded.name, "small")
    await alice.writes(carol, "beside it")
    await crowded.hears(lambda: "small" in crowded.texts, "the small one")
    assert [(each.id, each.code) for each in alice.all(sdk.Failed)] == [(large, "too_large")]
    assert small not in alice.client.profile.state.outbox or alice.client.profile.state.outbox[small].seq
    assert front.streams <= 3


# --- devices and programs ---------------------------------------------------------------------------


async def test_an_added_device_is_told_and_can_be_held(world: World) -> None:
    bob = await world.person()
    careful, careless = await world.person(hold_new_devices=True), await world.person()
    for each in (careful, careless):
        await each.writes(bob, "hello")
    device = await bob.device()
    await device.publish()
    fingerprint = unpadded(device.secrets.ed25519_public)
    for each in (careful, careless):
        await each.hears(lambda e=each: e.all(sdk.KeyChanged), "word of the device")
        [event] = each.all(sdk.KeyChanged)
        assert (event.change, event.fingerprint, event.held) == ("added", fingerprint, each is careful)
    held = await careful.client.send(bob.name, "held")
    await careless.writes(bob, "sealed to it")
    assert careful.client.profile.state.outbox[held].payloads is None
    careful.client.trust(bob.name)
    await bob.hears(lambda: "held" in bob.texts, "what was held")


async def test_two_programs_on_one_keystore(world: World, tmp_path: Path) -> None:
    alice, bob = await world.person(), await world.person()
    path = tmp_path / "alice.json"
    sdk.FileKeystore(path).save(alice.client.profile)
    await alice.client.close()
    alice.keystore = sdk.FileKeystore(path)
    await alice.begin(sdk.Client.resume(alice.keystore, http=world.http, options=alice.options))
    for second in (alice.keystore, sdk.FileKeystore(path)):
        with pytest.raises(sdk.KeystoreInUse, match="in use"):
            sdk.Client.resume(second, http=world.http)
        with pytest.raises(sdk.KeystoreInUse, match="in use"):
            await sdk.Client.login(world.server, alice.name, PASSWORD, keystore=second, http=world.http)
    await alice.writes(bob, "still here")
    assert alice.all(sdk.Disconnected) == []


async def test_many_peers_are_asked_for_in_parts(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with asyncio.timeout(20):
        for number in range(300):
            await alice.client.send(f"nobody{number}", "x")
        await alice.writes(bob, "after them")
