"""The WebSocket: frames, order, close codes, sessions that end, clients that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from actors.user import presence
from api.stream import login
from roost import wire
from roost.clock import now_ms
from storage.shard_map import ShardMap
from tests.integration.api_world import Person, Urls, World, closing, message, new_id, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), gateways=2) as whole:
        yield whole


async def send(socket: aiohttp.ClientWebSocketResponse, to: Person, text: bytes = b"hi") -> str:
    frame = {"type": "send", **message(to, text)}
    await socket.send_json(frame)
    return str(frame["id"])


async def test_send_deliver_ack_receipt(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a, bob.hello(gateway=1) as b:
        message_id = await send(a, bob, b"one")
        accepted = await until(a, "accepted")
        assert accepted["id"] == message_id
        (entry,) = (await until(b, "entries"))["entries"]
        assert (entry["id"], entry["seq"], entry["payload"]) == (message_id, accepted["seq"], "b25l")
        await b.send_json({"type": "ack", "seq": entry["seq"]})
        (receipt,) = (await until(a, "entries"))["entries"]
        assert (receipt["type"], receipt["delivered_seq"]) == ("receipt", entry["seq"])
        await b.send_json({"type": "read", "peer": alice.username, "seq": entry["seq"]})
        (receipt,) = (await until(a, "entries"))["entries"]
        assert receipt["read_seq"] == entry["seq"]


async def test_a_thousand_sends_keep_their_order(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a, bob.hello() as b:
        ids = [await send(a, bob, f"{number}".encode()) for number in range(1_000)]
        accepted = [await until(a, "accepted") for _ in ids]
        assert [each["id"] for each in accepted] == ids
        received: list[str] = []
        while len(received) < len(ids):
            entries = (await until(b, "entries"))["entries"]
            received += [entry["id"] for entry in entries]
            await b.send_json({"type": "ack", "seq": entries[-1]["seq"]})
        assert received == ids


async def test_order_holds_when_one_needs_a_lookup(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a, bob.hello() as b:
        frames = [message(bob, message_id=new_id(60_000 if number % 3 == 0 else 0)) for number in range(30)]
        for frame in frames:
            await a.send_json({"type": "send", **frame})
        received: list[str] = []
        while len(received) < len(frames):
            received += [entry["id"] for entry in (await until(b, "entries"))["entries"]]
        assert received == [frame["id"] for frame in frames]


async def test_repeats_in_one_burst(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a:
        frame = {"type": "send", **message(bob)}
        for changes in ({}, {}, {"suite": "other.v1"}):
            await a.send_json(frame | changes)
        first, second = await until(a, "accepted"), await until(a, "accepted")
        assert first == second
        assert (await until(a, "rejected"))["code"] == "id_reused"


async def test_messagepack(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    codec = wire.CODECS[wire.MSGPACK]
    await alice.send(bob, b"\x00\xff")
    await bob.call("GET", "/v1/sync?wait_s=20")  # it is at the host: the stream begins with it
    async with bob.stream(protocol=wire.MSGPACK) as socket:
        assert socket.protocol == wire.MSGPACK
        await socket.send_bytes(codec.encode(wire.Hello(bob.token)))
        assert isinstance(codec.decode_server(await socket.receive_bytes()), wire.Ready)
        frame = codec.decode_server(await socket.receive_bytes(timeout=10))
        assert isinstance(frame, wire.Entries)
        entry = codec.decode_entry(frame.entries[0])
        assert isinstance(entry, wire.MessageEntry)
        assert entry.payload == b"\x00\xff"
        assert isinstance(codec.decode_server(await socket.receive_bytes(timeout=10)), wire.Drained)


@pytest.mark.parametrize("protocol", [wire.JSON, None])
async def test_text_protocols(world: World, protocol: str | None) -> None:
    bob = await world.person()
    async with bob.stream(protocol=protocol) as socket:
        assert socket.protocol == protocol
        await socket.send_json({"type": "hello", "token": bob.token})
        await until(socket, "drained")


async def test_unknown_subprotocol(world: World) -> None:
    bob = await world.person()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with bob.stream(protocol="roost.v9.json"):
            pass


FIRST: list[tuple[Any, int]] = [
    ("{", 4500),
    ("[]", 4500),
    ('{"type": "nonsense"}', 4500),
    ('{"type": "ping"}', 4500),
    (b"\x80", 4500),
    ('{"type": "hello"}', 4600),
    ('{"type": "hello", "token": "x.y.z"}', 4600),
    ('{"type": "hello", "token": 7}', 4500),
    ("[" * 100_000, 4500),
]


@pytest.mark.parametrize(("data", "code"), FIRST, ids=range(len(FIRST)))
async def test_first_frames(world: World, data: Any, code: int) -> None:
    bob = await world.person(keys=False)
    async with bob.stream() as socket:
        await (socket.send_bytes(data) if isinstance(data, bytes) else socket.send_str(data))
        frames, closed = await closing(socket)
        assert frames[-1]["type"] == "bye"
        assert closed == code


@pytest.mark.attack("send a frame of more than 4 MiB", "the parser's bound")
async def test_frame_beyond_the_limit(world: World) -> None:
    bob = await world.person()
    async with bob.hello() as socket:
        # The head of a masked text frame: whoever sends all of it may see a reset before the answer.
        head = b"\x81\xff" + (wire.MAX_FRAME + 1).to_bytes(8, "big") + bytes(4)
        transport: Any = socket._conn
        transport.transport.write(head)
        _, closed = await closing(socket)
        assert closed == 1009


async def test_header_instead_of_a_token(world: World) -> None:
    bob = await world.person()
    async with bob.stream(headers={"Authorization": f"Bearer {bob.token}"}) as socket:
        await until(socket, "ready")
    async with bob.stream(headers={"Authorization": "Bearer x.y.z"}) as socket:
        assert (await closing(socket))[1] == 4600


@pytest.mark.attack("read from a cursor of another mailbox", "a cursor beyond the mailbox is refused")
@pytest.mark.parametrize("cursor", [2**53, 4_294_967_296_000])
async def test_foreign_cursor(world: World, cursor: int) -> None:
    bob = await world.person()
    async with bob.stream() as socket:
        await socket.send_json({"type": "hello", "token": bob.token, "cursor": cursor})
        frames, closed = await closing(socket)
        assert (frames[-1]["code"], closed) == ("cursor_invalid", 4410)


@pytest.mark.attack(
    "acknowledge what has not come yet, to have it dropped",
    "beyond the end nothing is acknowledged",
)
async def test_ack_beyond_the_end(world: World) -> None:
    bob = await world.person()
    async with bob.hello() as socket:
        await socket.send_json({"type": "ack", "seq": 2**40})
        refusal = await until(socket, "problem")
        assert (refusal["frame"], refusal["code"]) == ("ack", "cursor_invalid")


async def test_refused_sends(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"to": "nobody.here"}, "unknown_user"),
        ({"id": new_id(8 * 24 * 3600 * 1000)}, "id_expired"),
        ({"id": "x"}, "invalid"),
        ({"payloads": {}}, "device_mismatch"),
        ({"payloads": {bob.device: wire.unpadded(b"x" * 65_537)}}, "too_large"),
    ]
    async with alice.hello() as socket:
        for changes, code in cases:
            frame = {"type": "send", **message(bob), **changes}
            await socket.send_json(frame)
            rejected = await until(socket, "rejected")
            assert (rejected["id"], rejected["code"]) == (frame["id"], code)
        await send(socket, bob)
        await until(socket, "accepted")


async def test_a_new_stream_displaces_the_old_on_another_gateway(world: World) -> None:
    bob = await world.person()
    async with bob.hello() as old, bob.hello(gateway=1) as new:
        frames, closed = await closing(old)
        assert (frames[-1]["code"], closed) == ("displaced", 4409)
        await new.send_json({"type": "ping"})
        assert (await until(new, "pong"))["server_time_ms"] > 0


async def revoke_by_log_out(bob: Person) -> None:
    await bob.call("DELETE", "/v1/sessions/current", expect=204)


async def revoke_by_log_in(bob: Person) -> None:
    await bob.log_in(bob.device)


async def revoke_by_removal(bob: Person) -> None:
    other = await bob.log_in()
    await other.call("DELETE", f"/v1/devices/{bob.device}", expect=204)


async def revoke_by_reuse(bob: Person) -> None:
    token = bob.tokens["refresh_token"]
    for _ in range(2):
        _, answer = await bob.world.call("POST", "/v1/sessions/refresh", {"refresh_token": token})
        following = answer["refresh_token"]
    for used in (following, token):
        await bob.world.call("POST", "/v1/sessions/refresh", {"refresh_token": used})


@pytest.mark.attack(
    "stay on a stream after the session was ended at another gateway",
    "every gateway is told, and closes",
)
@pytest.mark.parametrize("end", [revoke_by_log_out, revoke_by_log_in, revoke_by_removal, revoke_by_reuse])
async def test_ended_sessions_close_on_every_gateway(world: World, end: Any) -> None:
    bob = await world.person()
    async with bob.hello(gateway=1) as socket:
        await end(bob)
        frames, closed = await closing(socket)
        assert (frames[-1]["code"], closed) == ("revoked", 4601)
    for gateway in (0, 1):
        status, problem = await bob.call("GET", "/v1/me", gateway=gateway)
        assert (status, problem["code"]) == (401, "revoked")


async def test_typing_and_presence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "DEBOUNCE_MS", 500)
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a:
        await a.send_json({"type": "subscribe", "users": [bob.username, "nobody.here", "no name"]})
        assert (await until(a, "presence"))["state"] == "offline"
        async with bob.hello(gateway=1) as b:
            shown = await until(a, "presence")
            assert (shown["user"], shown["state"]) == (bob.username, "online")
            await b.send_json({"type": "typing", "peer": alice.username, "state": "typing"})
            typing = await until(a, "typing")
            assert (typing["peer"], typing["state"]) == (bob.username, "typing")
        shown = await until(a, "presence")
        assert shown["state"] == "offline"


async def test_ten_thousand_subscriptions(world: World) -> None:
    bob = await world.person()
    async with bob.hello() as socket:
        await socket.send_json({"type": "subscribe", "users": [f"user.{number}" for number in range(10_000)]})
        assert (await until(socket, "problem"))["code"] == "too_large"


async def test_backlog_then_drained(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    seqs = [(await alice.send(bob))[1]["seq"] for _ in range(3)]
    while (await bob.call("GET", "/v1/sync?cursor=0&wait_s=10", expect=200))["cursor"] < seqs[2]:
        pass  # the last of them is on its way to the mailbox
    async with bob.stream() as socket:
        await socket.send_json({"type": "hello", "token": bob.token, "cursor": seqs[0]})
        ready = await until(socket, "ready")
        assert ready["cursor"] == seqs[0]
        received: list[int] = []
        while len(received) < 2:
            received += [entry["seq"] for entry in (await until(socket, "entries"))["entries"]]
        assert received == seqs[1:]
        assert (await until(socket, "drained"))["cursor"] == seqs[2]


@pytest.mark.attack("read nothing, to have a gateway keep everything", "too_slow, and the connection ends")
async def test_a_slow_reader_is_disconnected(world: World) -> None:
    bob = await world.person()
    async with bob.hello() as socket:
        # Nothing is received here, so aiohttp stops reading too once its own queue is full.
        payloads = {f"{number:064}": "AAAA" for number in range(64)}
        before = world.gateways[0].collaborators.streams.ended["too_slow"]
        for _ in range(100):
            for _ in range(300):
                await socket.send_json({"type": "send", **message(bob, payloads=payloads)})
            if world.gateways[0].collaborators.streams.ended["too_slow"] > before:
                break
        assert world.gateways[0].collaborators.streams.ended["too_slow"] == before + 1
        assert (await closing(socket))[1] == 4408


async def test_streams_are_attached_again_after_a_host_restart(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a, bob.hello(gateway=1) as b:
        await send(a, bob, b"before")
        before = (await until(b, "entries"))["entries"][-1]["seq"]
        for front in world.gateways:
            for link in list(front.collaborators.hosts._connections.links.values()):
                link.close()
        message_id = await send(a, bob, b"after")
        (entry,) = (await until(b, "entries"))["entries"]
        assert (entry["id"], entry["prev"]) == (message_id, before)
        assert world.gateways[1].collaborators.hosts.attachments.reattached >= 1


async def test_a_paused_gateway_keeps_sends_waiting(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    async with alice.hello() as a:
        await world.gateways[0].pause_writes()
        await send(a, bob)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await until(a, "accepted")
        await world.gateways[0].resume_writes()
    async with alice.hello() as a:
        await send(a, bob)
        await until(a, "accepted")


async def test_a_raised_base_is_used_at_once(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    first = (await alice.send(bob))[1]["seq"]
    raised = tuple(base + 2**32 for base in world.shard_map.bases)
    shard_map: ShardMap = msgspec.structs.replace(world.shard_map, version=2, bases=raised)
    collaborators = world.gateways[0].collaborators
    collaborators.sequencer.adopt(shard_map.bases)
    second = (await alice.send(bob))[1]["seq"]
    assert second >= first + 2**32


@pytest.mark.attack("hold a socket open without a word", "the gateway ends it")
async def test_no_hello(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "HELLO_MS", 1_000)
    bob = await world.person()
    began = now_ms()
    async with bob.stream() as socket:
        frames, closed = await closing(socket)
    assert (frames[-1]["code"], closed) == ("unauthenticated", 4600)
    assert 1_000 <= now_ms() - began < 4_000
