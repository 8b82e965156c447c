"""One user with two devices, and what their contacts are told and may do, on whichever gateway."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
import pytest
import pytest_asyncio

from roost import client as sdk
from roost.client.content import ReadUpTo
from roost.errors import RoostError
from tests.live.app import App
from tests.live.running import System
from tests.live.waiting import until_found

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with sdk.connections() as shared:
        yield shared


class Devices:
    """Makes phones."""

    def __init__(self, system: System, http: aiohttp.ClientSession) -> None:
        self.system, self.http = system, http
        self.apps: list[App] = []

    async def phone(self, name: str, *, new: bool = True) -> App:
        """Register the user, or sign in on a further device."""
        app = await App(self.system.http, name, self.http).join(new=new)
        self.apps.append(app)
        return app


@pytest_asyncio.fixture(loop_scope="module")
async def devices(system: System, http: aiohttp.ClientSession) -> AsyncIterator[Devices]:
    made = Devices(system, http)
    yield made
    await asyncio.gather(*(phone.client.close() for phone in made.apps))


async def test_both_devices_get_every_message_and_the_first_one_counts(devices: Devices) -> None:
    ann = await devices.phone("two_ann")
    ben = await devices.phone("two_ben")
    tablet = await devices.phone("two_ben", new=False)
    wanted = [f"to both, {number}" for number in range(10)]
    for text in wanted:
        await ann.client.send("two_ben", text)
    await ben.gets(lambda: ben.texts() == wanted, "every message")
    await tablet.gets(lambda: tablet.texts() == wanted, "every message")
    await ann.gets(lambda: not ann.client.profile.state.outbox, "the delivery")

    await tablet.client.close()
    message_id = await ann.client.send("two_ben", "to the one that is there")
    await ann.gets(lambda: not ann.client.profile.state.outbox, "a delivery by the first device")
    state = await ann.call("GET", f"/v1/messages/{message_id}?to=two_ben")
    assert state["state"] == "delivered", state


async def test_what_one_device_sends_shows_on_the_other(devices: Devices) -> None:
    ann = await devices.phone("sent_ann")
    ben = await devices.phone("sent_ben")
    laptop = await devices.phone("sent_ann", new=False)
    message_id = await ann.client.send("sent_ben", "from the phone")
    await laptop.gets(lambda: laptop.all(sdk.SentElsewhere), "the copy")
    [copy] = laptop.all(sdk.SentElsewhere)
    assert (copy.id, copy.peer, copy.device, copy.text) == (
        message_id,
        "sent_ben",
        ann.device,
        "from the phone",
    )
    assert not ann.all(sdk.SentElsewhere)
    await ben.gets(lambda: ben.texts() == ["from the phone"], "the message")
    await laptop.gets(lambda: laptop.all(sdk.Delivered), "the receipt")

    await laptop.client.send("sent_ben", "from the laptop")
    await ann.gets(lambda: ann.all(sdk.SentElsewhere), "the copy on the phone")
    assert ann.all(sdk.SentElsewhere)[0].text == "from the laptop"
    await ann.client.send("sent_ann", "a note to myself")
    await laptop.gets(lambda: laptop.texts() == ["a note to myself"], "the note")
    await ann.gets(lambda: not ann.client.profile.state.outbox, "its delivery")
    await ben.client.send("sent_ben", "a note on my only device")
    await ben.gets(lambda: not ben.client.profile.state.outbox, "its delivery, there")


async def test_what_is_read_on_one_device_is_read_on_the_other(devices: Devices) -> None:
    ann = await devices.phone("read_ann")
    ben = await devices.phone("read_ben")
    laptop = await devices.phone("read_ann", new=False)
    for number in range(3):
        await ben.client.send("read_ann", str(number))
    await laptop.gets(lambda: len(laptop.texts("read_ben")) == 3, "every message")
    await ann.gets(lambda: len(ann.texts("read_ben")) == 3, "every message")
    seqs = [each.seq for each in ann.all(sdk.MessageReceived)]
    await laptop.client.mark_read("read_ben", seqs[1])
    await ann.gets(lambda: _marks(ann) == [ReadUpTo("read_ben", seqs[1])], "the mark")
    await ann.client.mark_read("read_ben", seqs[1])
    await ann.client.mark_read("read_ben", seqs[2])
    await laptop.gets(lambda: _marks(laptop) == [ReadUpTo("read_ben", seqs[2])], "the mark, and only that")
    await ben.gets(lambda: ben.all(sdk.Read)[-1:] == [sdk.Read("read_ann", seqs[2])], "the receipt")
    for phone in (ann, laptop):
        await phone.gets(lambda: not phone.client.profile.state.outbox, "its end")  # noqa: B023
        assert not phone.all(sdk.Accepted), "what it tells its own devices is not the app's"
        assert not any(each.ids for each in phone.all(sdk.Delivered))


def _marks(phone: App) -> list[ReadUpTo]:
    marks = [each for each in phone.all(sdk.MessageReceived) if each.peer == phone.name]
    assert all(each.silent for each in marks)
    return [each.body for each in marks if isinstance(each.body, ReadUpTo)]


@pytest.mark.attack("go on with a device that was removed", "its sessions end on every gateway")
async def test_a_removed_device_is_shut_out_on_every_gateway(devices: Devices) -> None:
    ann = await devices.phone("gone_ann")
    lost = [await devices.phone("gone_ann", new=False) for _ in range(4)]
    for phone in lost:
        await ann.call("DELETE", f"/v1/devices/{phone.device}")
    for phone in lost:
        await phone.gets(partial(_revoked, phone), "the end")
        with pytest.raises(RoostError) as refused:
            await phone.call("GET", "/v1/me")
        assert refused.value.code.status == 401
    assert ann.client.connected
    listed = await ann.call("GET", "/v1/devices")
    assert [each["device_id"] for each in listed["devices"]] == [ann.device]


def _revoked(phone: App) -> bool:
    return phone.all(sdk.Disconnected) == [sdk.Disconnected("revoked", final=True)]


async def test_a_contact_is_told_of_new_and_removed_devices(devices: Devices) -> None:
    ann = await devices.phone("keys_ann")
    ben = await devices.phone("keys_ben")
    await ann.client.send("keys_ben", "first")
    await ben.gets(lambda: ben.texts() == ["first"], "the message")
    tablet = await devices.phone("keys_ben", new=False)
    added = sdk.KeyChanged
    await ann.gets(lambda: (tablet.device, "added") in _changes(ann, added), "the new device")
    await ann.client.send("keys_ben", "to both")
    await tablet.gets(lambda: tablet.texts() == ["to both"], "the message")
    await ben.call("DELETE", f"/v1/devices/{tablet.device}")
    await ann.gets(lambda: (tablet.device, "removed") in _changes(ann, added), "the removal")
    await ann.client.send("keys_ben", "to one")
    await ben.gets(lambda: ben.texts() == ["first", "to both", "to one"], "all messages")
    assert tablet.texts() == ["to both"]


def _changes(phone: App, kind: type[sdk.KeyChanged]) -> list[tuple[str, str]]:
    return [(each.device, each.change) for each in phone.all(kind)]


@pytest.mark.attack(
    "tell from delivery and receipts that one is blocked",
    "accepted as ever, and nothing moves",
)
async def test_a_blocked_sender_cannot_tell(devices: Devices) -> None:
    ann = await devices.phone("block_ann")
    ben = await devices.phone("block_ben")
    await ann.client.send("block_ben", "before")
    await ann.gets(lambda: ann.all(sdk.Delivered), "the delivery")
    delivered = ann.all(sdk.Delivered)[-1].seq
    await ben.call("PUT", "/v1/blocks/block_ann")
    blocked = await ann.client.send("block_ben", "while blocked")
    await ann.gets(lambda: blocked in {each.id for each in ann.all(sdk.Accepted)}, "the acceptance")
    # What is still on its way when a block ends is delivered.
    path = f"/v1/messages/{blocked}?to=block_ben"
    await until_found(lambda: ann.call("GET", path), lambda found: found["state"] == "stored")
    await ben.call("DELETE", "/v1/blocks/block_ann")
    await ann.client.send("block_ben", "after")
    await ben.gets(lambda: "after" in ben.texts(), "the message after the block")
    assert ben.texts() == ["before", "after"]
    assert (await ann.call("GET", path))["state"] == "stored"
    assert ann.all(sdk.Delivered)[-1].seq >= delivered
    assert not ann.all(sdk.Failed)


async def test_presence_is_told_as_far_as_its_owner_allows(devices: Devices) -> None:
    ann = await devices.phone("seen_ann")
    ben = await devices.phone("seen_ben")
    ann.client.subscribe("seen_ben")
    await ann.gets(lambda: _last_presence(ann) == "online", "ben online")
    await ben.client.close()
    await ann.gets(lambda: _last_presence(ann) == "offline", "ben offline")
    assert ann.all(sdk.Presence)[-1].last_seen_ms is not None

    shy = await devices.phone("seen_shy")
    await shy.call("PATCH", "/v1/me", {"last_seen": "nobody"})
    stranger = await ann.call("GET", "/v1/users/seen_shy/presence")
    assert "last_seen_ms" not in stranger
    assert stranger["state"] == "offline"
    told = len(ann.all(sdk.Presence))
    ann.client.subscribe("seen_shy")
    await shy.client.close()
    open_ = await devices.phone("seen_open")
    ann.client.subscribe("seen_shy", "seen_open")
    await open_.gets(
        lambda: any(each.peer == "seen_open" for each in ann.all(sdk.Presence)), "open's presence"
    )
    hidden = [each for each in ann.all(sdk.Presence)[told:] if each.peer == "seen_shy"]
    assert not [each for each in hidden if each.state == "online" or each.last_seen_ms is not None], hidden


def _last_presence(phone: App) -> str:
    told = phone.all(sdk.Presence)
    return told[-1].state if told else ""


async def test_typing_is_shown_and_not_kept(devices: Devices) -> None:
    ann = await devices.phone("type_ann")
    ben = await devices.phone("type_ben")
    ann.client.typing("type_ben")
    await ben.gets(lambda: sdk.Typing("type_ann", "typing") in ben.told, "typing")
    ann.client.typing("type_ben", "paused")
    await ben.gets(lambda: sdk.Typing("type_ann", "paused") in ben.told, "paused")
    laptop = await devices.phone("type_ben", new=False)
    await laptop.gets(lambda: laptop.all(sdk.Synced), "the backlog")
    assert not laptop.all(sdk.Typing)
