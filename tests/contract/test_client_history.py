"""The history of a client: what apps ask of it, over real sockets, against a small server of the contract."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from roost.client import (
    Accepted,
    Client,
    Delivered,
    Event,
    Failed,
    IdChanged,
    MemoryKeystore,
    MessageReceived,
    NotDelivered,
    Options,
    SentElsewhere,
    connections,
)
from roost.client.content import (
    Attachment,
    Delete,
    Edit,
    FileReference,
    Known,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    encode,
    read,
)
from roost.client.shell.deliveries import Deliveries
from roost.client.state import OutboxItem, Pin
from tests.contract.small_server import SmallServer


class Pair:
    """Alice, who keeps a history, and Bob."""

    def __init__(self, alice: Client, bob: Client, told: list[Event]) -> None:
        self.alice, self.bob, self.told = alice, bob, told

    async def received(self, count: int) -> list[MessageReceived]:
        async with asyncio.timeout(10):
            while len(found := [each for each in self.told if isinstance(each, MessageReceived)]) < count:
                await asyncio.sleep(0.005)
        return found


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with connections() as made:
        yield made


@pytest.fixture
async def pair(http: aiohttp.ClientSession) -> AsyncIterator[Pair]:
    runner = web.AppRunner(SmallServer().app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url, told = f"http://127.0.0.1:{runner.addresses[0][1]}", list[Event]()
    keystore, options = MemoryKeystore(history=True), Options(on_event=told.append)
    alice = await Client.register(url, "alice", "a password", keystore=keystore, http=http, options=options)
    bob = await Client.register(url, "bob", "a password", http=http, options=Options(on_event=lambda _: None))
    await alice.start()
    await bob.start()
    yield Pair(alice, bob, told)
    await alice.close()
    await bob.close()
    await runner.cleanup()


async def test_a_conversation_is_shown_as_it_is_now(pair: Pair) -> None:
    alice, bob = pair.alice, pair.bob
    first = await bob.send("alice", "hello Alyce")
    await bob.send("alice", Edit(first, "hello Alice"))
    secret = await bob.send("alice", "not this")
    await bob.send("alice", Delete(secret))
    await pair.received(4)
    answer = await alice.send("bob", Text("hello Bob", reply_to=first))
    await alice.delivered(await alice.send("bob", Reaction(first, "👍")), timeout_s=10)
    await bob.mark_read("alice", 10_000)
    page = await alice.history("bob")
    assert [(each.text, each.kind, each.state) for each in page.messages][:2] == [
        ("hello Alice", "text", None),
        ("", "deleted", None),
    ]
    assert page.messages[0].reactions == {"👍": ["alice"]}
    assert (page.messages[2].text, page.messages[2].reply_to, page.before) == ("hello Bob", first, None)
    async with asyncio.timeout(10):
        while (shown := await alice.message("bob", answer)) is None or shown.state != "read":
            await asyncio.sleep(0.005)
    assert [each.id for each in await alice.search("hello ali")] == [first]
    assert [len((await alice.history("bob", limit=n)).messages) for n in (1, 2, 50)] == [1, 2, 3]
    with pytest.raises(ValueError, match="at least one"):
        await alice.history("bob", limit=0)


async def test_unread_messages_are_counted_until_they_are_read(pair: Pair) -> None:
    for number in range(3):
        await pair.bob.send("alice", str(number))
    received = await pair.received(3)
    (talk,) = await pair.alice.conversations()
    assert (talk.peer, talk.unread, talk.last and talk.last.text) == ("bob", 3, "2")
    await pair.alice.mark_read("bob", received[1].seq)
    assert (await pair.alice.conversations())[0].unread == 1


async def test_what_another_own_device_wrote_is_in_the_history(pair: Pair) -> None:
    alice = pair.alice
    id_ = await pair.bob.send("alice", "hello")
    (hello,) = await pair.received(1)
    copies = [
        SentElsewhere(_id(alice), "bob", "PHONE", 5, 1, 1, b"from my phone"),
        SentElsewhere(_id(alice), "bob", "PHONE", 8, 1, 1, None),
        SentElsewhere(_id(alice), "bob", "PHONE", 9, 1, 1, encode(Reaction(id_, "👍")), silent=True),
        SentElsewhere(_id(alice), "bob", "PHONE", 10, 1, 1, None, silent=True),
        SentElsewhere(_id(alice), "bob", "PHONE", 11, 1, 1, None, reason="malformed"),
        SentElsewhere(
            _id(alice), "alice", "PHONE", 12, 1, 1, encode(ReadUpTo("bob", hello.seq)), silent=True
        ),
    ]
    for copy in copies:
        alice._engine.deliver(copy, 0)
    shown = (await alice.history("bob")).messages
    assert [(each.text, each.code, each.state) for each in shown] == [
        ("hello", "", None),
        ("from my phone", "", "sent"),
        ("", "no_copy", "sent"),
        ("", "malformed", "sent"),
    ]
    assert shown[0].reactions == {"👍": ["alice"]}
    assert [(each.peer, each.unread) for each in await alice.conversations()] == [("bob", 0)]


async def test_the_timer_of_a_conversation_is_applied(pair: Pair) -> None:
    alice, bob = pair.alice, pair.bob
    assert alice.compose("bob", "before").expires_in_s is None
    await bob.send("alice", Timer(60))
    await pair.received(1)
    first = await alice.send("bob", "gone in a minute")
    shown = await alice.message("bob", first)
    assert shown is not None
    assert shown.expires_at_ms == shown.at_ms + 60_000
    given = [alice.compose("bob", "x", expires_in_s=each).expires_in_s for each in (None, 5)]
    assert given == [None, 5], "what is given counts"
    others: list[Known | bytes] = [Edit(first, "x"), Reaction(first, "x"), Timer(5), b"own bytes"]
    assert [alice.compose("bob", each).expires_in_s for each in others] == [None, None, None, 60]
    assert alice.compose("carol", "x").expires_in_s is None
    await alice.close()
    again = Client.resume(alice._keystore, http=alice.api.http, options=alice._engine.options)
    assert again.compose("bob", "after a restart").expires_in_s == 60
    await again.send("bob", Timer(None))
    assert again.compose("bob", "off").expires_in_s is None
    await again.close()


async def test_a_timer_holds_without_a_history_as_long_as_the_client_runs(pair: Pair) -> None:
    await pair.bob.send("alice", Timer(60))
    assert pair.bob.compose("alice", "x").expires_in_s == 60


@pytest.mark.parametrize("connected", [True, False])
async def test_ones_own_other_devices_are_told_what_is_read(pair: Pair, *, connected: bool) -> None:
    """One mark waits for each conversation, however often it moves meanwhile."""
    alice = pair.alice
    me, engine = alice.username, alice._engine
    phone = Pin(curve25519=bytes([9]) * 32, ed25519=bytes(32))
    alice.profile.peers[me] = {alice.profile.device_id: phone} | ({"PHONE": phone} if connected else {})
    engine.session.outbox.hold(me, 0, held=True)
    for peer, seq in (("bob", 3), ("carol", 1), ("bob", 2), ("bob", 5), (me, 9)):
        await alice.mark_read(peer, seq)
    engine.deliver(
        MessageReceived(me, "PHONE", _id(alice), 8, encode(ReadUpTo("carol", 9)), 1, 1, silent=True), 0
    )
    await alice.mark_read("carol", 8)
    waiting = engine.session.outbox.lanes[me].waiting
    told = [ReadUpTo("bob", 5), ReadUpTo("carol", 1)] if connected else []
    assert [read(each.content) for each in waiting] == told
    assert all(each.silent and not each.urgent for each in waiting)


async def test_a_file_of_the_history_is_as_good_as_one_that_just_came(pair: Pair) -> None:
    reference = FileReference("m", bytes(32), bytes(32), 7, "a.png", "image/png")
    await pair.bob.send("alice", Attachment(reference, "look"))
    await pair.received(1)
    (shown,) = (await pair.alice.history("bob")).messages
    assert (shown.text, shown.file) == ("look", reference)
    assert shown.file is not None
    assert pair.alice.file(shown.file).name == "a.png"


async def test_a_message_that_comes_to_nothing_is_told_to_who_waits(pair: Pair) -> None:
    alice = pair.alice
    nobody = await alice.send("nobody", "hello?")
    for _ in range(2):  # while it is on its way, and when all is over
        with pytest.raises(NotDelivered, match="nobody") as raised:
            await alice.delivered(nobody, timeout_s=10)
        assert (raised.value.id, raised.value.code) == (nobody, "unknown_user")
    shown = await alice.message("nobody", nobody)
    assert shown is not None
    assert (shown.state, shown.code) == ("failed", "unknown_user")


async def test_waiting_for_a_delivery_ends_with_its_time(pair: Pair) -> None:
    await pair.bob.close()
    waiting = await pair.alice.send("bob", "are you there?")
    with pytest.raises(TimeoutError):
        await pair.alice.delivered(waiting, timeout_s=0.01)
    assert waiting in pair.alice.profile.state.outbox


async def test_a_message_that_expires_unseen_says_so(pair: Pair) -> None:
    await pair.bob.close()
    waiting = await pair.alice.send("bob", "quickly", expires_in_s=1)
    async with asyncio.timeout(10):
        while not any(isinstance(each, Accepted) for each in pair.told):
            await asyncio.sleep(0.005)
    engine = pair.alice._engine
    engine.apply(engine.session.tick(pair.alice.now_ms() + 2_000))
    with pytest.raises(NotDelivered, match="was over") as raised:
        await pair.alice.delivered(waiting, timeout_s=10)
    assert raised.value.code == "expired"
    shown = await pair.alice.message("bob", waiting)
    assert shown is not None
    assert (shown.kind, shown.text, shown.state) == ("deleted", "", "expired")


async def test_a_message_that_gets_another_id_is_waited_for_under_it() -> None:
    outbox = {"new": OutboxItem(1, "new", "bob", 1, b"")}
    deliveries = Deliveries({"old": outbox["new"]})
    waiting = asyncio.create_task(deliveries.wait("old"))
    await asyncio.sleep(0)
    deliveries.told(IdChanged("old", "new", "bob"))
    deliveries.told(Delivered("bob", 3, ("other",)))
    await asyncio.sleep(0)
    assert not waiting.done()
    deliveries.told(Failed("new", "bob", "too_large", "Too large."))
    for late in (waiting, deliveries.wait("old"), deliveries.wait("new")):
        with pytest.raises(NotDelivered, match="Too large"):
            await late


async def test_a_keystore_without_history_says_so(pair: Pair) -> None:
    for asked in (pair.bob.history("alice"), pair.bob.search("x"), pair.bob.message("alice", "i")):
        with pytest.raises(ValueError, match="keeps no history"):
            await asked
    with pytest.raises(ValueError, match="keeps no history"):
        await pair.bob.conversations()


def _id(client: Client) -> str:
    return client.compose("bob", "").id
