"""The SDK against an attacker's server, over real HTTP: what it says of people's keys is shown or refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from roost import wire
from roost.client import (
    Accepted,
    Client,
    Event,
    FileKeystore,
    KeyChanged,
    Keystore,
    MessageReceived,
    Options,
    Unsupported,
    connections,
)
from roost.client.shell.linking import LinkRefused
from roost.clock import now_ms
from roost.crypto import Heading, seal
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import DeviceSecrets, device_keys
from roost.ids import uuid7
from tests.contract.small_server import SERVER_NAME, SmallServer

GHOST = DeviceSecrets.from_random(b"g" * 64)
MALLORY = IdentitySecrets(b"m" * 32)
BOB = f"@bob:{SERVER_NAME}"
Answer = dict[str, Any]


class LyingServer(SmallServer):
    """Answers key queries as the attacker likes, takes every message, and keeps what was sealed to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.lie: Callable[[Answer], None] = lambda _: None
        self.sealed_to: list[set[str]] = []

    async def query(self, request: web.Request) -> web.Response:
        answer = json.loads((await super().query(request)).body or b"")  # type: ignore[arg-type]
        self.lie(answer)
        return web.json_response(answer)

    async def accept(self, user: str, frame: wire.Send) -> wire.Accepted | wire.Rejected:
        self.sealed_to.append(set(frame.payloads))
        seq = await self.put(user, {"type": "receipt", "peer": frame.to, "delivered_seq": 0, "read_seq": 0})
        return wire.Accepted(frame.id, seq, 1)

    async def announce(self, to: str, user: str, device: str = "X") -> None:
        await self.put(to, {"type": "keys", "user": user, "device": device, "change": "changed"})


class World:
    def __init__(self, url: str, server: LyingServer) -> None:
        self.url, self.server, self.http = url, server, connections()
        self.clients: list[Client] = []
        self.told: list[Event] = []

    async def person(self, name: str, keystore: Keystore | None = None, **options: Any) -> Client:
        held = Options(hold_new_devices=True, **options)
        client = await Client.register(
            self.url, name, "a password", keystore=keystore, http=self.http, options=held
        )
        self.clients.append(client)
        return client

    async def pair(self) -> tuple[Client, Client]:
        """Alice knows Bob and has compared his safety number; she is connected and told what happens."""
        bob, alice = await self.person("bob"), await self.person("alice", on_event=self.told.append)
        await alice.start()
        await self.until(lambda: alice.connected)
        await alice.verify("bob", (await bob.safety_number("alice")).payload)
        await alice.send("bob", "hello")
        await self.until(lambda: len(self.server.sealed_to) == 1)
        return alice, bob

    async def until(self, test: Callable[[], object]) -> None:
        for _ in range(500):
            if test():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"told: {self.told}")

    async def shown(self, *changes: tuple[str, str, bool]) -> None:
        """Wait until just these changes of Bob's keys were told: device, change, held."""
        await self.until(lambda: len(self.changes) >= len(changes))
        assert self.changes == list(changes)

    @property
    def changes(self) -> list[tuple[str, str, bool]]:
        return [(each.device, each.change, each.held) for each in self.told if isinstance(each, KeyChanged)]

    async def nothing_is_sent(self, alice: Client) -> None:
        await alice.send("bob", "to Bob's phone alone")
        await self.server.announce("alice", "bob")
        queries = len(self.server.queries)
        await self.until(lambda: len(self.server.queries) > queries)
        assert len(self.server.sealed_to) == 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = LyingServer()
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made = World(f"http://127.0.0.1:{runner.addresses[0][1]}", server)
    yield made
    for client in made.clients:
        await client.close()
    await made.http.close()
    await runner.cleanup()


def ghost(of: str = BOB, name: str = "GHOST", by: IdentitySecrets | None = None) -> Answer:
    made = device_keys(of, name, GHOST)
    return made if by is None else by.sign_device(made, of)


@pytest.mark.parametrize("by", [None, MALLORY], ids=["unsigned", "signed-by-the-server"])
async def test_a_device_that_the_server_adds_is_shown_and_gets_nothing(
    world: World, by: IdentitySecrets | None
) -> None:
    alice, _ = await world.pair()
    world.server.lie = lambda answer: answer["device_keys"].get(BOB, {}).update(GHOST=ghost(by=by))
    await world.server.announce("alice", "bob")
    await world.shown(("GHOST", "added", True))
    await world.nothing_is_sent(alice)


async def test_a_device_that_the_server_has_from_the_first_sight_on_is_shown(world: World) -> None:
    await world.person("bob")
    alice = await world.person("alice", on_event=world.told.append)
    await alice.start()
    world.server.lie = lambda answer: answer["device_keys"].get(BOB, {}).update(GHOST=ghost())
    await alice.send("bob", "hello")
    await world.shown(("GHOST", "added", True))
    assert world.server.sealed_to == []


async def test_keys_that_the_server_swaps_are_shown_and_not_used(world: World) -> None:
    alice, bob = await world.pair()
    phone = bob.profile.device_id
    world.server.lie = lambda answer: answer["device_keys"].update({BOB: {phone: ghost(name=phone)}})
    await world.server.announce("alice", "bob")
    await world.shown((phone, "changed", True))
    await world.nothing_is_sent(alice)


async def test_an_identity_that_the_server_replaces_is_shown_and_not_used(world: World) -> None:
    alice, bob = await world.pair()

    def lie(answer: Answer) -> None:
        answer["device_keys"][BOB] = {"GHOST": ghost(by=MALLORY)}
        answer["master_keys"][BOB] = MALLORY.master_key(BOB, "GHOST", GHOST)
        answer["self_signing_keys"][BOB] = MALLORY.self_signing_key(BOB)

    world.server.lie = lie
    await world.server.announce("alice", "bob")
    await world.shown(
        ("", "identity", True),
        ("GHOST", "added", True),
        (bob.profile.device_id, "removed", False),
    )
    assert not alice.verified("bob")
    await world.nothing_is_sent(alice)


async def test_a_removal_that_the_server_withholds_is_shown(world: World) -> None:
    """Bob removes a device and signs his others with a new key; the server goes on giving the removed one."""
    alice, bob = await world.pair()
    own = bob.profile.identity
    assert own is not None
    tablet = IdentitySecrets(own.master).sign_device(device_keys(BOB, "TABLET", GHOST), BOB)
    world.server.bundles["bob"]["TABLET"] = tablet
    await world.server.announce("alice", "bob", "TABLET")
    await world.shown(("TABLET", "added", False))
    before = json.dumps([world.server.identities["bob"], world.server.bundles["bob"]])
    world.server.lie = lambda answer: answer["device_keys"].get(BOB, {}).update(TABLET=tablet)
    await bob._engine.identity.renew({})
    await world.server.announce("alice", "bob", "TABLET")
    await world.shown(("TABLET", "added", False), ("TABLET", "unconfirmed", True))
    await world.nothing_is_sent(alice)
    assert alice.verified("bob"), "Bob is who he was"

    # The server goes back to what it had, signatures and all: no good either.
    world.server.identities["bob"], world.server.bundles["bob"] = json.loads(before)
    await world.server.announce("alice", "bob", "TABLET")
    await world.until(lambda: (bob.profile.device_id, "unconfirmed", True) in world.changes)
    assert ("TABLET", "confirmed", False) not in world.changes


async def test_an_identity_that_the_server_withholds_still_counts(world: World) -> None:
    alice, _ = await world.pair()

    def lie(answer: Answer) -> None:
        answer["master_keys"], answer["self_signing_keys"] = {}, {}
        answer["device_keys"].get(BOB, {}).update(GHOST=ghost())

    world.server.lie = lie
    await world.server.announce("alice", "bob")
    await world.shown(("GHOST", "added", True))
    assert alice.verified("bob")
    await world.nothing_is_sent(alice)


@pytest.mark.attack(
    "have an old device sign other keys than the new one shows", "the key in the code is compared"
)
async def test_an_old_device_does_not_sign_what_the_server_puts_in_between(world: World) -> None:
    bob = await world.person("bob")
    tablet = DeviceSecrets.from_random(b"t" * 64)
    world.server.bundles["bob"]["TABLET"] = device_keys(BOB, "TABLET", tablet)
    shown = bob._engine.linker.code()
    code = str(type(shown)("bob", "TABLET", tablet.ed25519_public, shown.secret, shown.ends_s))
    world.server.lie = lambda answer: answer["device_keys"][BOB].update(TABLET=ghost(name="TABLET"))
    with pytest.raises(LinkRefused, match="other keys"):
        await bob.link(code)
    assert list(world.server.bundles["bob"]["TABLET"]["signatures"][BOB]) == ["ed25519:TABLET"]


async def test_a_message_of_a_device_that_the_server_made_up_is_not_confirmed(world: World) -> None:
    alice, _ = await world.pair()
    world.server.lie = lambda answer: answer["device_keys"].get(BOB, {}).update(GHOST=ghost())
    now = now_ms()
    made = uuid7(now, b"0123456789")
    own = DeviceSecrets(alice.profile.curve25519, alice.profile.ed25519)
    heading = Heading(BOB, "GHOST", f"@alice:{SERVER_NAME}", made, now)
    payload = seal(b"this is Bob, trust me", heading, GHOST, own.curve25519_public)
    members = {"id": made, "from": "bob", "from_device": "GHOST", "sent_at_ms": now, "accepted_at_ms": now}
    await world.server.put("alice", {"type": "message", "suite": "sealed.v1", "payload": payload, **members})
    await world.until(lambda: any(isinstance(each, MessageReceived) for each in world.told))
    (message,) = (each for each in world.told if isinstance(each, MessageReceived))
    assert world.changes == [("GHOST", "added", True)]
    assert not message.confirmed
    assert alice.profile.peers["bob"]["GHOST"].confirmed is False


TOO_FAR = (2**53, 2**63, 2**64 - 1, -(2**53))


@pytest.mark.attack("break a client's history with a number too large for its store", "it is not read")
@pytest.mark.parametrize("number", TOO_FAR)
async def test_a_number_that_no_store_takes_hides_its_entry_and_no_other(
    world: World, tmp_path: Path, number: int
) -> None:
    bob = await world.person("bob")
    alice = await world.person("alice", FileKeystore(tmp_path / "alice"), on_event=world.told.append)
    await alice.start()
    await world.until(lambda: alice.connected)
    times = {"at_ms": number, "sent_at_ms": number, "accepted_at_ms": number}
    whose = {"from": "bob", "from_device": bob.profile.device_id, "id": uuid7(now_ms(), b"1" * 10)}
    sealed = {"suite": "sealed.v1", "payload": b"nothing that can be opened"}
    await world.server.put("alice", {"type": "message", **whose, **times, **sealed})
    receipt = {"type": "receipt", "peer": "bob", "delivered_seq": number, "read_seq": number}
    await world.server.put("alice", receipt)
    await alice.send("bob", "hello")
    await world.until(lambda: any(isinstance(each, Accepted) for each in world.told))
    assert [each.kind for each in world.told if isinstance(each, Unsupported)] == ["message", "receipt"]
    [kept] = (await alice.history("bob")).messages
    assert (kept.text, kept.state) == ("hello", "sent")
