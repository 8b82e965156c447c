"""Rules with holes: sessions, keys, privacy, passwords, names and links, as strangers and thieves try them.

Long, because it has a case for each hole.
"""

# ruff: noqa: RUF001 -- letters that look like others are among the cases

import asyncio
import json
import secrets
import struct
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import pytest
from nacl.signing import SigningKey
from pymongo import MongoClient

from roost import wire
from roost.clock import now_ms
from roost.ids import uuid7
from roost.signing import canonical_json
from tests.link_by_hand import greeting, is_cut_off, welcomed
from tests.live.running import System
from tests.live.waiting import until, until_found

PASSWORD: Final = "correct horse battery staple"
_ANSWER_S: Final = 15


class Person:
    """A user with one device, over plain HTTP."""

    def __init__(self, system: System, http: aiohttp.ClientSession, name: str = "") -> None:
        self.system, self.http = system, http
        self.name = name or f"rule.{secrets.token_hex(6)}"
        self.signing = SigningKey.generate()
        self.tokens: dict[str, Any] = {}

    @property
    def device(self) -> str:
        return str(self.tokens["device_id"])

    @property
    def address(self) -> str:
        return f"@{self.name}:{self.system.ready['server_name']}"

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call with this person's token; returns the status and the parsed body."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}
        url = self.system.http + path
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Call, and expect that it is done."""
        status, answer = await self.call(method, path, body)
        assert status < 300, answer
        return answer

    async def code(self, method: str, path: str, body: Any = None) -> str:
        """Call, and return the code that it is refused with."""
        status, answer = await self.call(method, path, body)
        return str(answer["code"]) if status >= 400 else f"done with {status}"

    async def log_in(self, password: str = PASSWORD, **fields: Any) -> tuple[int, Any]:
        stranger = Person(self.system, self.http)
        return await stranger.call(
            "POST", "/v1/sessions", {"username": self.name, "password": password, **fields}
        )

    async def join(self, password: str = PASSWORD) -> "Person":
        """Make the account, log in and publish keys."""
        await self.ok("POST", "/v1/accounts", {"username": self.name, "password": password})
        status, self.tokens = await self.log_in(password, device={"name": "phone"})
        assert status == 201, self.tokens
        await self.ok("POST", "/v1/keys/upload", {"device_keys": self.bundle()})
        return self

    async def add_device(self) -> "Person":
        """Log in on one more device, which publishes keys."""
        other = Person(self.system, self.http, self.name)
        status, other.tokens = await self.log_in(device={"name": "tablet"})
        assert status == 201, other.tokens
        await other.ok("POST", "/v1/keys/upload", {"device_keys": other.bundle()})
        return other

    def signed(self, value: dict[str, Any]) -> dict[str, Any]:
        signature = wire.unpadded(self.signing.sign(canonical_json(value)).signature)
        return value | {"signatures": {self.address: {f"ed25519:{self.device}": signature}}}

    def bundle(self, curve25519: bytes = bytes(range(32))) -> dict[str, Any]:
        keys = {
            f"curve25519:{self.device}": wire.unpadded(curve25519),
            f"ed25519:{self.device}": wire.unpadded(bytes(self.signing.verify_key)),
        }
        named = {"user_id": self.address, "device_id": self.device, "algorithms": ["m.olm"], "keys": keys}
        return self.signed(named)

    def one_time(self, *names: str, key: bytes = b"") -> dict[str, Any]:
        return {
            f"signed_curve25519:{name}": self.signed({"key": wire.unpadded(key or secrets.token_bytes(32))})
            for name in names
        }

    async def send(self, to: "Person", content: bytes = b"hello", message_id: str = "") -> dict[str, Any]:
        made = message_id or uuid7(now_ms(), secrets.token_bytes(10))
        body = {"id": made, "to": to.name, "sent_at_ms": now_ms(), "suite": "s"}
        body["payloads"] = {to.device: wire.unpadded(content)}
        accepted: dict[str, Any] = await self.ok("POST", "/v1/messages", body)
        return accepted

    async def receive(self, seq: int) -> None:
        """Wait for an entry, and acknowledge it."""
        await until_found(
            lambda: self.ok("GET", "/v1/sync?limit=256"),
            lambda page: seq in [each["seq"] for each in page["entries"]],
        )
        await self.ok("POST", "/v1/acks", {"seq": seq})

    async def entries(self, kind: str) -> list[dict[str, Any]]:
        page = await self.ok("GET", "/v1/sync?cursor=0&limit=256")
        return [each for each in page["entries"] if each["type"] == kind]

    async def sees(self, path: str, **wanted: Any) -> dict[str, Any]:
        """Wait until an answer has these members."""
        state: dict[str, Any] = {}

        async def missing() -> str:
            nonlocal state
            _, state = await self.call("GET", path)
            return "" if wanted.items() <= state.items() else f"{path} is {state}, wanted {wanted}"

        await until(missing, within=_ANSWER_S)
        return state


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def alice(system: System, http: aiohttp.ClientSession) -> Person:
    return await Person(system, http).join()


@pytest.fixture
async def bob(system: System, http: aiohttp.ClientSession) -> Person:
    return await Person(system, http).join()


# --- 1: sessions -----------------------------------------------------------------------------------


async def _log_out(alice: Person, _tablet: Person) -> None:
    await alice.ok("DELETE", "/v1/sessions/current")


async def _remove(alice: Person, tablet: Person) -> None:
    await tablet.ok("DELETE", f"/v1/devices/{alice.device}")


async def _log_in_again(alice: Person, _tablet: Person) -> None:
    assert (await alice.log_in(device_id=alice.device))[0] == 201


async def _reuse(alice: Person, _tablet: Person) -> None:
    path, nobody = "/v1/sessions/refresh", Person(alice.system, alice.http)
    spent = {"refresh_token": alice.tokens["refresh_token"]}
    following = await nobody.ok("POST", path, spent)
    await nobody.ok("POST", path, {"refresh_token": following["refresh_token"]})
    assert await nobody.code("POST", path, spent) == "token_reused"


ENDS: Final = [_log_out, _remove, _log_in_again, _reuse]
FRAMES: Final[list[dict[str, Any] | None]] = [None, {"type": "hello"}, {"type": "ping"}]


@pytest.mark.attack(
    "get entries on a socket that was silent while its session ended",
    "the token is verified when the stream opens",
)
@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("end", ENDS)
async def test_a_socket_that_was_silent_while_its_session_ended_gets_nothing(
    alice: Person, end: Callable[[Person, Person], Awaitable[None]], frame: dict[str, Any] | None
) -> None:
    tablet = await alice.add_device()
    headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}
    url = f"{alice.system.http}/v1/stream"
    async with alice.http.ws_connect(url, headers=headers, protocols=[wire.JSON]) as socket:
        await end(alice, tablet)
        await asyncio.sleep(0.3)  # the word is on its way to the other gateway, and the socket stays silent
        if frame is not None:
            await socket.send_json(frame)
        said = [json.loads(each.data)["type"] async for each in socket]
    assert "ready" not in said
    assert socket.close_code == 4601


async def test_a_session_that_is_used_does_not_end(alice: Person) -> None:
    with MongoClient[dict[str, Any]](alice.system.mongo) as client:
        sessions, token = client["roost"]["sessions"], alice.tokens["refresh_token"]
        begun = sessions.find_one({"_id": token.split(".")[1]})
        await alice.ok("POST", "/v1/sessions/refresh", {"refresh_token": token})
        moved = sessions.find_one({"_id": token.split(".")[1]})
    assert begun is not None
    assert moved is not None
    assert moved["expires_at_ms"] > begun["expires_at_ms"]
    assert moved["expires_at"] > begun["expires_at"]


@pytest.mark.attack("use a copied refresh token in step with its owner", "signed refreshes")
@pytest.mark.parametrize("copied", [None, "another key", "another token"])
async def test_a_copied_token_is_of_no_use_in_step_with_its_owner(alice: Person, copied: str | None) -> None:
    known = {"device_id": alice.device, "signed_refresh": True}
    status, granted = await alice.log_in(**known)
    assert status == 201, granted
    nobody = Person(alice.system, alice.http)
    for _ in range(3):
        token = granted["refresh_token"]
        words = b"roost.refresh.v1\x00" + token.encode()
        key = SigningKey.generate() if copied == "another key" else alice.signing
        stolen = key.sign(words + (b"x" if copied == "another token" else b"")).signature
        body = {"refresh_token": token} | ({} if copied is None else {"signature": wire.unpadded(stolen)})
        assert await nobody.code("POST", "/v1/sessions/refresh", body) == "invalid_signature"
        good = wire.unpadded(alice.signing.sign(words).signature)
        granted = await nobody.ok("POST", "/v1/sessions/refresh", body | {"signature": good})


# --- 2: keys ---------------------------------------------------------------------------------------

SMALL_ORDER: Final = {
    "zero": bytes(32),
    "one": b"\x01".ljust(32, b"\0"),
    "eight": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "eight, the other": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "p - 1": b"\xec" + b"\xff" * 30 + b"\x7f",
    "p": b"\xed" + b"\xff" * 30 + b"\x7f",
    "p + 1": b"\xee" + b"\xff" * 30 + b"\x7f",
    "p - 1, top bit": b"\xec" + b"\xff" * 31,
}


@pytest.mark.attack("upload keys of small order to a running system: {row}", "refused")
@pytest.mark.parametrize("point", SMALL_ORDER.values(), ids=SMALL_ORDER)
async def test_keys_of_small_order(alice: Person, point: bytes) -> None:
    bodies: list[dict[str, Any]] = [
        {"device_keys": alice.bundle(point)},
        {"one_time_keys": alice.one_time("A") | alice.one_time("B", key=point)},
        {"fallback_keys": alice.one_time("F", key=point)},
    ]
    for body in bodies:
        assert await alice.code("POST", "/v1/keys/upload", body) == "invalid"
    counts = await alice.ok("POST", "/v1/keys/upload", {})
    assert counts == {"one_time_key_counts": {}}, "all are checked before any is stored"


async def test_of_two_fallback_keys_none_is_lost_without_a_word(alice: Person, bob: Person) -> None:
    two = {"fallback_keys": alice.one_time("F", "G")}
    assert await alice.code("POST", "/v1/keys/upload", two) == "invalid"
    assert await claimed(bob, alice, 1) == []


@pytest.mark.attack("take all one-time keys of a device", "ten a day for each asker, then the fallback key")
async def test_a_stranger_does_not_take_all_one_time_keys(
    alice: Person, bob: Person, system: System, http: aiohttp.ClientSession
) -> None:
    names = [f"K{number:02}" for number in range(61)]
    upload = {"one_time_keys": alice.one_time(*names), "fallback_keys": alice.one_time("F")}
    await alice.ok("POST", "/v1/keys/upload", upload)
    taken = await claimed(bob, alice, 61)
    assert len(taken) == 61
    assert len({*taken} - {"F"}) == 10
    other = await bob.add_device()
    assert await claimed(other, alice, 2) == ["F", "F"], "another device of his is the same asker"
    carol = await Person(system, http).join()
    assert await claimed(carol, alice, 1) != ["F"]


async def claimed(asker: Person, owner: Person, times: int) -> list[str]:
    body = {"one_time_keys": {owner.address: {owner.device: "signed_curve25519"}}}
    names: list[str] = []
    for _ in range(times):
        answer = await asker.ok("POST", "/v1/keys/claim", body)
        for keys in answer["one_time_keys"][owner.address].values():
            names += [name.partition(":")[2] for name in keys]
    return names


# --- 3: privacy ------------------------------------------------------------------------------------


@pytest.mark.attack("become a contact at a running system: {row}", "the other has to write or accept")
@pytest.mark.parametrize(
    ("settings", "stranger", "contact"),
    [
        ({"last_seen": "everyone"}, "online", "online"),
        ({"last_seen": "contacts"}, "offline", "online"),
        ({"last_seen": "nobody"}, "offline", "offline"),
        ({"requests": True}, "offline", "online"),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["write", "accept"])
async def test_who_writes_is_no_contact_by_that(
    alice: Person, bob: Person, how: str, settings: dict[str, Any], stranger: str, contact: str
) -> None:
    await bob.ok("PATCH", "/v1/me", settings)
    path = f"/v1/users/{bob.name}/presence"
    async with attached(bob):
        accepted = await alice.send(bob)
        await alice.sees(f"/v1/messages/{accepted['id']}", state="stored")
        assert (await alice.ok("GET", path))["state"] == stranger
        if how == "write":
            await bob.send(alice)
        else:
            await bob.ok("PUT", f"/v1/conversations/{alice.name}/accepted")
        await alice.sees(path, state=contact)


@asynccontextmanager
async def attached(person: Person) -> AsyncIterator[None]:
    """Have a stream that acknowledges nothing."""
    url = f"{person.system.http}/v1/stream"
    async with person.http.ws_connect(url, protocols=[wire.JSON]) as socket:
        await socket.send_json({"type": "hello", "token": person.tokens["access_token"]})
        assert (await socket.receive_json(timeout=_ANSWER_S))["type"] == "ready"
        yield


@pytest.mark.parametrize("settings", [{"delivery_receipts": "contacts"}, {"requests": True}], ids=str)
async def test_a_receipt_does_not_tell_a_stranger_when_someone_is_there(
    alice: Person, bob: Person, settings: dict[str, Any]
) -> None:
    await bob.ok("PATCH", "/v1/me", settings)
    accepted = await alice.send(bob)
    await bob.receive(accepted["seq"])
    await bob.ok("POST", "/v1/reads", {"peer": alice.name, "seq": accepted["seq"]})
    state = await alice.sees(f"/v1/messages/{accepted['id']}", state="stored")
    assert "delivered_at_ms" not in state
    await bob.send(alice)
    state = await alice.sees(f"/v1/messages/{accepted['id']}", state="read")
    assert state["delivered_at_ms"] <= state["read_at_ms"]


async def test_changed_devices_are_told_to_those_who_want_to_know(
    alice: Person, bob: Person, system: System, http: aiohttp.ClientSession
) -> None:
    """Bob never answered Alice, Carol blocks her, Dave wrote to her."""
    carol, dave = [await Person(system, http).join() for _ in range(2)]
    for peer in (bob, carol, dave):
        accepted = await alice.send(peer)
        await peer.receive(accepted["seq"])
    for peer in (carol, dave):
        answer = await peer.send(alice)
        await alice.receive(answer["seq"])
    await carol.ok("PUT", f"/v1/blocks/{alice.name}")
    added = [(await alice.add_device()).device for _ in range(3)]

    async def missing() -> str:
        untold = set(added) - await told(dave)
        return f"dave was not told of {untold}" if untold else ""

    async def told(person: Person) -> set[str]:
        return {each["device"] for each in await person.entries("keys")}

    await until(missing, within=_ANSWER_S)
    assert await told(bob) == set()
    assert not await told(carol) & set(added), "she may have heard of the first device before she blocked"


@pytest.mark.attack("find out a day later that one is blocked", "nothing tells")
@pytest.mark.parametrize("age_ms", [60_000, 3 * 24 * 3_600_000])
async def test_a_block_cannot_be_told_a_day_later(
    alice: Person, bob: Person, system: System, http: aiohttp.ClientSession, age_ms: int
) -> None:
    """Two gateways, whatever they have cached; see tests/integration/test_api_privacy.py for none."""
    carol = await Person(system, http).join()
    await bob.ok("PUT", f"/v1/blocks/{alice.name}")
    seen = []
    for peer in (bob, carol):
        made = uuid7(now_ms() - age_ms, secrets.token_bytes(10))
        accepted = await alice.send(peer, b"hello", made)
        state = await alice.sees(f"/v1/messages/{made}?to={peer.name}", state="stored")
        assert await alice.send(peer, b"hello", made) == accepted
        other = {"id": made, "to": peer.name, "sent_at_ms": 1, "suite": "s", "payloads": {peer.device: "AA"}}
        seen.append((sorted(state), await alice.code("POST", "/v1/messages", other)))
    assert seen[0] == seen[1]
    assert seen[0][1] == "id_reused"
    with MongoClient[dict[str, Any]](system.mongo) as client:
        (stub,) = client["roost"]["stubs"].find({"u": bob.tokens["user_id"]})
    assert "hello" not in str(stub)


# --- 4: passwords, and who tries them --------------------------------------------------------------


@pytest.mark.attack("lock a user's device out from elsewhere", "a limiter for each known device and address")
async def test_guesses_from_elsewhere_do_not_lock_a_known_device_out(alice: Person, bob: Person) -> None:
    guesses: list[dict[str, Any]] = [{"device": {"name": "x"}}, {}, {"device_id": bob.device}]
    for number in range(24):
        status, answer = await alice.log_in(f"guess {number}", **guesses[number % 3])
    assert (status, answer["code"]) == (429, "rate_limited")
    status, answer = await alice.log_in(device_id=alice.device)
    assert (status, answer["device_id"]) == (201, alice.device)


@pytest.mark.parametrize(
    "password",
    ["password", "Password", "12345678", "qwertyuiop", "\uff50\uff41ssword", "{name}", "{name}{name}"],
)
async def test_passwords_that_are_tried_first(
    system: System, http: aiohttp.ClientSession, password: str
) -> None:
    someone = Person(system, http)
    body = {"username": someone.name, "password": password.format(name=someone.name)}
    assert await someone.code("POST", "/v1/accounts", body) == "invalid"


@pytest.mark.parametrize(
    ("made", "typed"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFKC", "NFD"), ("NFC", "NFKD")]
)
async def test_a_password_in_another_normal_form(
    system: System, http: aiohttp.ClientSession, made: Any, typed: Any
) -> None:
    password = "crème brûlée à la Ångström ½"
    someone = await Person(system, http).join(unicodedata.normalize(made, password))
    assert (await someone.log_in(unicodedata.normalize(typed, password)))[0] == 201
    assert (await someone.log_in("creme brulee a la Angstrom"))[0] == 401


# --- 5: names --------------------------------------------------------------------------------------

ODD_NAMES: Final = {
    "null": "a\0b", "line end": "a\nb", "escape": "\x1b[2Ja", "c1 escape": "\x9b2Ja", "tab": "a\tb",
    "override": "\u202egpj.exe", "isolate": "a\u2066b", "nothing": "", "blanks": "  \u3000 ",
    "zero width": "\u200b", "joiner": "\u200d", "filler": "\u3164", "braille": "\u2800",
    "line separator": "a\u2028b", "private": "\ue000",
}  # fmt: skip
PLAIN_NAMES: Final = {
    "Alice  L.": "Alice L.", "日本\u3000語": "日本 語", "علی\u200cرضا": "علی\u200cرضا", "e\u0301": "é",
    "👨‍👩‍👧 ❤️": "👨‍👩‍👧 ❤️",
}  # fmt: skip


@pytest.mark.attack("take an odd name at a running system: {row}", "the Nickname profile of PRECIS")
@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
async def test_names_that_do_not_show_what_they_are(
    system: System, http: aiohttp.ClientSession, name: str
) -> None:
    someone = Person(system, http)
    account = {"username": someone.name, "password": PASSWORD}
    assert await someone.code("POST", "/v1/accounts", account | {"display_name": name}) == "invalid"
    status, answer = await someone.log_in(device={"name": name})
    assert (status, answer["code"]) == (422, "invalid")


async def test_names_as_people_write_them(alice: Person) -> None:
    for written, kept in PLAIN_NAMES.items():
        profile = await alice.ok("PATCH", "/v1/me", {"display_name": written})
        assert profile["display_name"] == kept
    assert await alice.code("PATCH", "/v1/me", {"display_name": "a\u202eb"}) == "invalid"


# --- 7: links --------------------------------------------------------------------------------------


def long_frame(_nonce: bytes) -> bytes:
    return struct.pack(">I", 256 * 1024 * 1024 - 1)


def guess(nonce: bytes) -> bytes:
    return greeting(nonce, b"guessed")


def silence(_nonce: bytes) -> bytes:
    return b""


def half(nonce: bytes) -> bytes:
    return guess(nonce)[:20]


def nonsense(_nonce: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.attack(
    "connect to a link of a running system without the secret",
    "cut off within 5 s, and logged",
)
async def test_who_proves_nothing_is_cut_off_and_written_down(system: System) -> None:
    with MongoClient[dict[str, Any]](system.mongo) as client:
        view = client["roost"]["placement"].find_one({"_id": "map"})
    assert view is not None
    address = next(iter(view["addresses"].values()))
    says = [long_frame, guess, silence, half, nonsense]
    assert await asyncio.gather(*(says_in_vain(address, each) for each in says)) == [True] * len(says)
    refused = [line for line in system.tail().splitlines() if "link_refused" in line]
    assert len(refused) >= len(says)


async def says_in_vain(address: tuple[str, int], says: Callable[[bytes], bytes]) -> bool:
    side, nonce = await welcomed(address)
    side[1].write(says(nonce))
    return await is_cut_off(side, within_s=_ANSWER_S)


# --- 8: ids ----------------------------------------------------------------------------------------


@pytest.mark.attack("meet another's device id by chance", "80 random bits")
async def test_device_ids_do_not_meet(alice: Person) -> None:
    devices = {alice.device, (await alice.add_device()).device}
    assert len(devices) == 2
    assert all(len(each) * 5 >= 80 for each in devices), "base32: 5 bits each"
