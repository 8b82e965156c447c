"""Devices of one person: linked by a code, unlinked; and people who compare their safety numbers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from roost.client import (
    Client,
    Delivered,
    Event,
    KeyChanged,
    Linked,
    MemoryKeystore,
    MessageReceived,
    NotLinked,
    Options,
    Refused,
)
from roost.client.content import Linked as Answer
from roost.crypto.link_code import LinkCode
from roost.wire import unpadded
from tests.live.running import System

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
PASSWORD = "correct horse battery"
_names = iter(f"linked{number}" for number in range(100))


class Device:
    """One device of one person, and what it was told."""

    def __init__(self, **options: Any) -> None:
        self.told: list[Event] = []
        self.options = Options(
            on_event=self.told.append,
            **options,
        )
        self.client: Client

    async def until(self, test: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(10):
                while not test():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"told: {self.told}")

    def of(self, kind: type[Event]) -> list[Any]:
        return [each for each in self.told if isinstance(each, kind)]

    def changes(self, peer: str) -> list[tuple[str, str, bool]]:
        return [
            (each.device, each.change, each.confirmed) for each in self.of(KeyChanged) if each.peer == peer
        ]


class People:
    """Who was made in a test."""

    def __init__(self, system: System) -> None:
        self.url = system.http
        self.devices: list[Device] = []

    async def person(self, name: str = "", **options: Any) -> Device:
        device = Device(**options)
        enter = Client.login if name else Client.register
        device.client = await enter(
            self.url,
            name or next(_names),
            PASSWORD,
            keystore=MemoryKeystore(history=True),
            options=device.options,
        )
        self.devices.append(device)
        await device.client.start()
        await device.until(lambda: device.client.connected)
        return device


@pytest_asyncio.fixture(loop_scope="module")
async def people(system: System) -> AsyncIterator[People]:
    made = People(system)
    yield made
    for device in made.devices:
        await device.client.close()


async def test_a_linked_device_gets_identity_people_and_history(people: People) -> None:
    alice, bob = await people.person(), await people.person(hold_new_devices=True)
    me, peer = alice.client.username, bob.client.username
    await alice.client.send(peer, "hello")
    await bob.client.send(me, "hello back")
    await alice.until(lambda: alice.of(MessageReceived) and alice.of(Delivered))
    number = await alice.client.safety_number(peer)
    await alice.client.verify(peer, (await bob.client.safety_number(me)).payload)
    tablet = await people.person(me)
    new = tablet.client.profile.device_id
    assert (alice.client.linked, tablet.client.linked) == (True, False)
    await bob.until(lambda: (new, "added", False) in bob.changes(me))
    held = await bob.client.send(me, "not before it is confirmed")
    with pytest.raises(NotLinked):
        await tablet.client.link(alice.client.link_code())

    await alice.client.link(tablet.client.link_code())
    await tablet.until(lambda: tablet.of(Linked))
    (linked,) = tablet.of(Linked)
    assert (linked.device, linked.peers, linked.problem) == (alice.client.profile.device_id, 1, "")
    page, before = await tablet.client.history(peer), await alice.client.history(peer)
    assert [(each.author, each.text, each.state) for each in page.messages][:2] == [
        (each.author, each.text, each.state) for each in before.messages
    ][:2]
    assert {each.text for each in page.messages} >= {"hello", "hello back"}
    assert tablet.client.linked
    assert tablet.client.verified(peer)
    assert str(await tablet.client.safety_number(peer)) == str(number)
    assert tablet.client.profile.peers[peer].keys() == alice.client.profile.peers[peer].keys()
    await bob.until(lambda: (new, "confirmed", True) in bob.changes(me))
    await alice.until(lambda: (new, "confirmed", True) in alice.changes(me))
    await tablet.until(lambda: any(getattr(each, "id", "") == held for each in tablet.told))
    assert not tablet.of(Refused)

    # Linked devices link others, and take them away again.
    third = await people.person(me)
    await tablet.client.link(third.client.link_code())
    await third.until(lambda: third.of(Linked))
    gone = third.client.profile.device_id
    await bob.until(lambda: (gone, "confirmed", True) in bob.changes(me))
    await alice.until(lambda: (gone, "confirmed", True) in alice.changes(me))
    await alice.client.unlink(gone)
    await bob.until(lambda: (gone, "removed", False) in bob.changes(me))
    await tablet.until(lambda: (gone, "removed", False) in tablet.changes(me))
    await alice.client.send(peer, "still here")
    await tablet.client.send(peer, "and here")
    await bob.until(lambda: sum("here" in getattr(each, "text", "") for each in bob.told) == 2)
    assert not any(change == "unconfirmed" for _, change, _ in bob.changes(me) + tablet.changes(me))
    assert alice.client.profile.identities[me].keys.generation == 2  # type: ignore[union-attr]
    fourth = await people.person(me)
    await tablet.until(lambda: tablet.client.profile.identities[me].keys.generation == 2)  # type: ignore[union-attr]
    await tablet.client.link(fourth.client.link_code())
    await fourth.until(lambda: fourth.of(Linked))


async def test_an_answer_of_someone_else_links_nothing(people: People) -> None:
    alice = await people.person()
    me = alice.client.username
    tablet = await people.person(me)
    code = LinkCode.parse(tablet.client.link_code())
    guessed = LinkCode(code.username, code.device_id, code.ed25519, bytes(16), code.ends_s)
    await alice.client.link(str(guessed))
    await tablet.until(lambda: tablet.of(Refused))
    assert "not from the device that read the code" in tablet.of(Refused)[0].detail
    assert not tablet.client.linked
    for odd in (b"", b"x" * 200):
        await alice.client.send(me, Answer(code.device_id, unpadded(odd or b"y"), unpadded(bytes(32))))
    await tablet.until(lambda: len(tablet.of(Refused)) == 3)
    # The code that is shown is good still, once.
    await alice.client.link(str(code))
    await tablet.until(lambda: tablet.of(Linked))
    await alice.client.link(str(code))
    await tablet.until(lambda: len(tablet.of(Refused)) == 4)


async def test_a_replaced_identity_is_loud(people: People) -> None:
    alice, bob = await people.person(), await people.person()
    me = alice.client.username
    await alice.client.send(bob.client.username, "hello")
    await bob.client.send(me, "hello")
    await bob.client.verify(me, str(await alice.client.safety_number(bob.client.username)))
    assert bob.client.verified(me)
    await alice.client.replace_identity(PASSWORD)
    await bob.until(lambda: any(change == "identity" for _, change, _ in bob.changes(me)))
    assert not bob.client.verified(me)
    with pytest.raises(ValueError, match="not the safety number"):
        await bob.client.verify(me, str(await alice.client.safety_number(bob.client.username)))
    bob.client.trust(me)
    await bob.client.verify(me, str(await alice.client.safety_number(bob.client.username)))
    assert bob.client.verified(me)
