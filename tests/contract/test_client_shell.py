"""The SDK's asyncio shell over real sockets, against a small server of the contract."""

import asyncio
import dataclasses
import secrets
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

from roost.client import (
    Accepted,
    Client,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Failed,
    FileKeystore,
    KeyChanged,
    Keystore,
    KeystoreInUse,
    MemoryKeystore,
    MessageReceived,
    Options,
    Read,
    Undecryptable,
    connections,
)
from roost.client.transport import PollTransport, StreamTransport
from roost.clock import now_ms
from roost.crypto.keys import DeviceSecrets, device_keys
from roost.errors import RoostError, Unavailable
from roost.wire import JSON, MSGPACK, Ack, Hello
from tests.contract.small_server import SERVER_NAME, SmallServer

E = TypeVar("E", bound=Event)


@dataclasses.dataclass
class World:
    server: SmallServer
    url: str
    http: aiohttp.ClientSession
    clients: list[Client] = dataclasses.field(default_factory=list)
    told: dict[str, list[Event]] = dataclasses.field(default_factory=dict)

    async def person(self, name: str, keystore: Keystore | None = None, **options: object) -> Client:
        known = self.told.setdefault(name, [])
        made = Options(on_event=known.append, **options)  # type: ignore[arg-type]
        client = await Client.register(
            self.url, name, "a password", keystore=keystore, http=self.http, options=made
        )
        self.clients.append(client)
        await client.start()
        await self.event(name, Connected)
        return client

    async def event(self, name: str, kind: type[E], test: Callable[[E], bool] = lambda _: True) -> E:
        def found() -> E | None:
            return next((each for each in self.told[name] if isinstance(each, kind) and test(each)), None)

        await self.until(lambda: found() is not None, f"{kind.__name__} for {name}")
        event = found()
        assert event is not None
        return event

    async def until(self, test: Callable[[], bool], what: str) -> None:
        for _ in range(1000):
            if test():
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"no {what}; told: {self.told}")

    def texts(self, name: str) -> list[str]:
        return [event.text for event in self.told[name] if isinstance(event, MessageReceived)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = SmallServer()
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    made = World(server, f"http://127.0.0.1:{port}", connections())
    yield made
    for client in made.clients:
        await client.close()
    await made.http.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    "options",
    [{"subprotocol": MSGPACK}, {"subprotocol": JSON}, {"mode": "poll"}],
    ids=["msgpack", "json", "poll"],
)
async def test_a_message_there_and_its_receipts_back(world: World, options: dict[str, object]) -> None:
    alice = await world.person("alice", **options)
    bob = await world.person("bob", **options)
    message_id = await alice.send("bob", "hello")
    received = await world.event("bob", MessageReceived)
    assert (received.text, received.peer, received.id) == ("hello", "alice", message_id)
    assert (await world.event("alice", Accepted)).seq == received.seq
    assert (await world.event("alice", Delivered)).ids == (message_id,)
    await bob.mark_read("alice", received.seq)
    assert (await world.event("alice", Read)).seq == received.seq
    assert alice.profile.state.outbox == {}


async def test_order_and_once_through_drops_and_lost_replies(world: World) -> None:
    alice = await world.person("alice")
    await world.person("bob")
    for number in range(60):
        if number in {10, 30}:
            world.server.lose_replies = 1
        if number == 20:
            await world.server.drop("bob", 4000)
        await alice.send("bob", str(number))
        await asyncio.sleep(0.002)
    await world.until(lambda: len(world.texts("bob")) >= 60, "all messages")
    assert world.texts("bob") == [str(number) for number in range(60)]
    await world.until(lambda: alice.profile.state.outbox == {}, "empty outbox")
    assert {each.code for each in world.told["alice"] if isinstance(each, Disconnected)} == {"going_away"}


async def test_unsent_messages_survive_a_restart(world: World, tmp_path: Path) -> None:
    keystore = FileKeystore(tmp_path / "keys" / "alice.json")
    alice = await world.person("alice", keystore)
    await alice.close()
    sleeping = Client.resume(keystore, http=world.http)
    message_id = await sleeping.send("bob", "later")
    await sleeping.close()
    await world.person("bob")
    again = Client.resume(FileKeystore(keystore.path), http=world.http)
    world.clients.append(again)
    await again.start()
    assert (await world.event("bob", MessageReceived)).id == message_id
    assert stat.S_IMODE(keystore.path.stat().st_mode) == 0o600
    for file in keystore.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.name.removeprefix("alice.json") in {"", ".lock", "-wal"}


async def test_an_event_is_acknowledged_when_the_next_one_is_asked_for(world: World) -> None:
    alice = await world.person("alice")
    bob = await Client.register(world.url, "bob", "a password", http=world.http)
    world.clients.append(bob)
    await bob.start()
    for number in range(2):
        await alice.send("bob", str(number))
    async for event in bob.events():
        if isinstance(event, MessageReceived):
            await asyncio.sleep(0.05)
            assert world.server.mailboxes["bob"].acked < event.seq
            if event.text == "1":
                break
    assert world.server.mailboxes["bob"].acked == 3


@pytest.mark.parametrize("kind", ["stream", "poll"])
async def test_a_closing_transport_writes_its_buffer_first(world: World, kind: str) -> None:
    alice = await world.person("alice")
    bob = await world.person("bob")
    await alice.send("bob", "hello")
    seq = (await world.event("bob", MessageReceived)).seq
    await bob.close()
    transport = (
        StreamTransport(world.http, world.url, MSGPACK)
        if kind == "stream"
        else PollTransport(bob.api, bob.profile.device_id)
    )
    await transport.open(Hello(bob.profile.tokens.access, 0))
    await transport.read()
    transport.write([Ack(seq + 1)])
    await transport.close()
    await world.until(lambda: world.server.mailboxes["bob"].acked > seq, "acknowledgement")


async def test_a_new_device_is_told_and_served(world: World) -> None:
    alice = await world.person("alice")
    await world.person("bob")
    await alice.send("bob", "one")
    await world.event("bob", MessageReceived)
    other = DeviceSecrets.from_random(b"t" * 64)
    world.server.bundles["bob"]["TABLET0001"] = device_keys(f"@bob:{SERVER_NAME}", "TABLET0001", other)
    await alice.send("bob", "two")
    await world.event("bob", MessageReceived, lambda event: event.text == "two")
    change = await world.event("alice", KeyChanged)
    assert (change.device, change.change) == ("TABLET0001", "added")


@pytest.mark.attack(
    "have a client send to a key that was changed",
    "messages are held until the user trusts it",
)
async def test_a_changed_key_holds_messages_until_it_is_trusted(world: World) -> None:
    alice = await world.person("alice")
    bob = await world.person("bob")
    await alice.send("bob", "one")
    await world.event("bob", MessageReceived)
    device = bob.profile.device_id
    forged = DeviceSecrets.from_random(b"f" * 64)
    world.server.bundles["bob"][device] = device_keys(f"@bob:{SERVER_NAME}", device, forged)
    await world.server.put("alice", {"type": "keys", "user": "bob", "device": device, "change": "changed"})
    assert (await world.event("alice", KeyChanged)).change == "changed"
    await alice.send("bob", "two")
    await asyncio.sleep(0.3)
    assert world.texts("bob") == ["one"]
    assert not [event for event in world.told["bob"] if isinstance(event, Undecryptable)]
    alice.trust("bob")
    assert (await world.event("bob", Undecryptable)).reason == "not_for_this_key"


@pytest.mark.attack("have the server invent a message", "it is told as undecryptable, not shown")
async def test_a_forged_entry_is_told_not_shown(world: World) -> None:
    alice = await world.person("alice")
    await world.person("bob")
    await alice.send("bob", "one")
    await world.event("bob", MessageReceived)
    entry = {**world.server.mailboxes["bob"].entries[0], "sent_at_ms": 1}
    forged = {name: value for name, value in entry.items() if name not in {"seq", "prev", "at_ms", "id"}}
    await world.server.put("bob", {**forged, "id": alice.compose("bob", "").id})
    assert (await world.event("bob", Undecryptable)).reason == "wrong_heading"
    repeat = {name: value for name, value in entry.items() if name not in {"seq", "prev", "at_ms"}}
    await world.server.put("bob", repeat)
    await alice.send("bob", "two")
    await world.event("bob", MessageReceived, lambda event: event.text == "two")
    assert world.texts("bob") == ["one", "two"]


async def test_a_sender_without_keys_is_undecryptable_and_delays_no_one(world: World) -> None:
    alice = await world.person("alice")
    await world.person("bob")
    ghost = {"id": alice.compose("bob", "").id, "from": "ghost", "from_device": "GHOST00001"}
    entry = {"type": "message", "sent_at_ms": 1, "accepted_at_ms": 1, "suite": "sealed.v1", "payload": b"x"}
    await world.server.put("bob", {**entry, **ghost})
    await alice.send("bob", "real")
    await world.event("bob", MessageReceived)
    assert (await world.event("bob", Undecryptable)).reason == "unknown_device"


async def test_a_device_that_the_server_shows_late_is_waited_for(world: World) -> None:
    alice, bob = await world.person("alice"), await world.person("bob")
    hidden = world.server.bundles.pop("alice")
    await alice.send("bob", "new here")
    inbox = bob._engine.exchange._inbox
    await world.until(lambda: inbox.waits_for("alice"), "first question")
    world.server.bundles["alice"] = hidden
    assert (await world.event("bob", MessageReceived)).text == "new here"
    assert not [event for event in world.told["bob"] if isinstance(event, Undecryptable)]


async def test_an_unknown_recipient_fails(world: World) -> None:
    alice = await world.person("alice")
    message_id = await alice.send("nobody", "hello")
    failed = await world.event("alice", Failed)
    assert (failed.id, failed.code) == (message_id, "unknown_user")


async def test_the_token_is_renewed_on_the_open_socket(world: World) -> None:
    world.server.expires_in = 2
    await world.person("alice")
    await world.until(lambda: world.server.auths >= 1, "auth frame")
    assert world.server.refreshes >= 1


async def test_a_refused_token_is_refreshed(world: World) -> None:
    await world.person("alice")
    world.server.tokens.clear()
    await world.server.drop("alice", 4000)
    await world.until(lambda: world.server.refreshes == 1, "refresh")
    await world.until(lambda: sum(isinstance(each, Connected) for each in world.told["alice"]) == 2, "return")


@pytest.mark.parametrize("close", [4601, 4500])
async def test_a_final_close_is_final(world: World, close: int) -> None:
    alice = await world.person("alice")
    await world.server.drop("alice", close)
    assert (await world.event("alice", Disconnected)).final
    assert not alice.connected


async def test_a_session_that_is_over_is_final(world: World) -> None:
    await world.person("alice")
    world.server.tokens.clear()
    world.server.users.clear()
    await world.server.drop("alice", 4000)
    await world.event("alice", Disconnected, lambda event: event.final)


async def test_http_works_where_no_websocket_does(world: World) -> None:
    world.server.no_streams = True
    alice = await world.person("alice")
    await world.person("bob")
    await alice.send("bob", "over http")
    await world.event("bob", MessageReceived)


async def test_logging_in_again_keeps_the_device(world: World) -> None:
    keystore = MemoryKeystore()
    first = await world.person("alice", keystore)
    await first.close()
    second = await Client.login(world.url, "alice", "a password", keystore=keystore, http=world.http)
    assert second.profile.device_id == first.profile.device_id
    await second.close()


async def test_errors_have_their_word(world: World) -> None:
    await world.person("alice")
    with pytest.raises(RoostError) as taken:
        await Client.register(world.url, "alice", "a password")
    assert taken.value.code.word == "username_taken"
    with pytest.raises(RoostError) as wrong:
        await Client.login(world.url, "alice", "wrong")
    assert wrong.value.code.word == "bad_credentials"
    with pytest.raises(Unavailable):
        await Client.login("http://127.0.0.1:9", "alice", "a password")
    with pytest.raises(ValueError, match="at most"):
        world.clients[0].compose("bob", b"x" * 61441)


async def test_the_longest_message_fits(world: World) -> None:
    alice = await world.person("alice")
    await world.person("bob")
    await alice.send("bob", b"x" * 61440)
    assert len((await world.event("bob", MessageReceived)).content) == 61440
    assert len(world.server.mailboxes["bob"].entries[0]["payload"]) <= 65536


async def test_a_message_that_cannot_be_kept_is_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person("alice")
    await world.person("bob")

    def full(_profile: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(alice._engine._keystore, "keep", full)
        with pytest.raises(OSError, match="space"):
            await alice.send("bob", "hello")
        assert world.texts("bob") == []
    await alice.send("bob", "now")
    await world.until(lambda: world.texts("bob") == ["hello", "now"], "both messages")


async def test_an_app_whose_callback_fails_is_told(world: World) -> None:
    def fail(_event: Event) -> None:
        raise ZeroDivisionError

    heard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
    client = await Client.register(
        world.url, "carol", "a password", http=world.http, options=Options(on_event=fail)
    )
    world.clients.append(client)
    await client.start()
    await world.until(lambda: bool(heard), "report")
    assert isinstance(heard[0]["exception"], ZeroDivisionError)


@pytest.mark.attack("hold up a client by keys that cannot be had", "a query that fails is split")
async def test_a_query_that_fails_for_one_peer_holds_up_that_one(world: World) -> None:
    alice, bob, mallory = [await world.person(name) for name in ("alice", "bob", "mallory")]
    others = [f"other{number}" for number in range(20)]
    for name in others:
        await world.person(name)
    world.server.odd = {"mallory"}
    await mallory.send("bob", "waits")
    await alice.send("bob", "passes")
    await world.until(lambda: world.texts("bob") == ["passes"], "alice's message")
    for name in ("mallory", *others, "alice"):
        await bob.send(name, f"to {name}")
    await world.until(lambda: all(world.texts(name) for name in others), "the others' messages")
    assert world.texts("alice") == ["to alice"]
    assert world.texts("mallory") == []
    world.server.odd.clear()
    await world.until(lambda: world.texts("mallory") == ["to mallory"], "mallory's message")
    await world.until(lambda: world.texts("bob") == ["passes", "waits"], "what waited")
    assert not [event for event in world.told["bob"] if isinstance(event, Undecryptable | Failed)]


async def test_what_waited_for_keys_comes_again_after_a_restart_and_nothing_else(world: World) -> None:
    alice, mallory = await world.person("alice"), await world.person("mallory")
    keystore = MemoryKeystore()
    bob = await world.person("bob", keystore)
    world.server.odd = {"mallory"}
    await mallory.send("bob", "waits")
    await alice.send("bob", "passes")
    await world.until(lambda: world.texts("bob") == ["passes"], "alice's message")
    await bob.close()
    world.server.odd.clear()
    options = Options(on_event=world.told["bob"].append)
    again = Client.resume(keystore, http=world.http, options=options)
    world.clients.append(again)
    await again.start()
    await world.until(lambda: world.texts("bob") == ["passes", "waits"], "what waited")
    await world.until(lambda: world.server.mailboxes["bob"].acked == 6, "the acknowledgement of both")


@pytest.mark.parametrize("in_process", [True, False], ids=["this process", "another"])
async def test_a_keystore_serves_one_client(world: World, tmp_path: Path, in_process: bool) -> None:  # noqa: FBT001
    path = tmp_path / "alice.json"
    alice = await world.person("alice", FileKeystore(path))
    if in_process:
        for keystore in (FileKeystore(path), FileKeystore(tmp_path / "." / "alice.json")):
            with pytest.raises(KeystoreInUse, match="in use by another client"):
                Client.resume(keystore, http=world.http)
    else:
        program = (
            f"from roost.client import *; from pathlib import Path; FileKeystore(Path({str(path)!r})).lock()"
        )
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program), stderr=asyncio.subprocess.PIPE
        )
        said = (await child.communicate())[1].decode()
        assert "KeystoreInUse" in said
    await alice.close()
    Client.resume(FileKeystore(path), http=world.http)._keystore.unlock()


async def test_a_keystore_is_free_again_after_a_log_in_that_failed(world: World) -> None:
    keystore = MemoryKeystore()
    for _ in range(2):
        with pytest.raises(RoostError, match="wrong"):
            await Client.login(world.url, "alice", "not it", keystore=keystore, http=world.http)
    keystore.lock()
    with pytest.raises(KeystoreInUse):
        await Client.register(world.url, "alice", "a password", keystore=keystore, http=world.http)
    assert world.server.users == {}, "no account is made for a keystore that is in use"


async def test_no_argument_of_an_app_can_break_the_connection(world: World) -> None:
    alice = await world.person("alice")
    for call in (
        lambda: alice.compose("bob", "x", expires_in_s=-1),
        lambda: alice.compose("bob", "\ud800"),
        lambda: alice.subscribe(*["bob"] * 1001),
        lambda: alice.subscribe("No Name"),
        lambda: alice.typing("No Name"),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
    for peer, seq in (("bob", -1), ("bob", 2**70), ("No Name", 1)):
        with pytest.raises(ValueError, match=r"."):
            await alice.mark_read(peer, seq)
    assert not [event for event in world.told["alice"] if isinstance(event, Disconnected)]


async def test_the_time_is_learnt_again_when_the_clock_jumps(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.client.shell.engine._IDLE_TICK_S", 0.02)
    jump = [0]
    alice = await world.person("alice", clock=lambda: now_ms() + jump[0])
    world.server.ahead_ms = 30_000  # as if the machine had slept, and its other clock with it
    jump[0] = 30_000
    await world.until(lambda: alice.now_ms() - now_ms() > 29_000, "the server's time")


async def test_a_session_that_ends_at_once_again_and_again_comes_back_slower(world: World) -> None:
    def longest(count: int) -> bytes:
        return b"\xff\xff" if count == 2 else secrets.token_bytes(count)

    alice = await world.person("alice", random=longest)
    await world.person("bob")
    item = alice.compose("bob", "poison")
    world.server.poison = item.id
    began = asyncio.get_running_loop().time()
    await alice.submit(item)
    await world.until(
        lambda: sum(isinstance(event, Disconnected) for event in world.told["alice"]) >= 3, "three ends"
    )
    assert asyncio.get_running_loop().time() - began > 1.4  # half a second and a whole one
    world.server.poison = ""
    await world.until(lambda: world.texts("bob") == ["poison"], "the message in the end")
