"""Who is known, while entries are forgotten in between."""

import asyncio
from typing import Any

import pytest

from api.identity.directory import Directory
from storage.account_rows import Device, User


class Store:
    """Knows everyone; its answers wait for `answers`."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.accounts = self
        self.devices: list[Device] = []
        self.reads = 0

    async def user_by_name(self, username: str, *, opened: bool = True) -> User | None:
        del opened  # nothing is sealed here
        self.reads += 1
        await self.answers.wait()
        if username == "nobody":
            return None
        return User(f"id of {username}", username, "", username, 0)

    async def devices_of(self, users: list[str], *, opened: bool = True) -> dict[str, list[Device]]:
        del opened  # nothing is sealed here
        return dict.fromkeys(users, self.devices)


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.store = Store()
        store: Any = self.store
        self.directory = Directory(store, lambda: self.now_ms, "here")


async def test_existing_users_are_found() -> None:
    world = World()
    people = await world.directory.people(["ann", "nobody", "ben", "ann"])
    assert {name: person.user for name, person in people.items()} == {"ann": "id of ann", "ben": "id of ben"}


async def test_a_user_evicted_during_another_load_still_exists() -> None:
    world = World()
    await world.directory.people(["ann"])
    world.store.answers.clear()
    asking = asyncio.create_task(world.directory.people(["ann", "ben"]))
    await asyncio.sleep(0)
    world.now_ms += 5_000  # without the subscription an entry lives one second
    world.directory.forget("id of ann")
    world.store.answers.set()
    assert set(await asking) == {"ann", "ben"}


@pytest.mark.parametrize(("passed_ms", "reads"), [(500, 1), (1_500, 2), (-3_600_000, 2)])
async def test_without_news_an_entry_lives_a_second_whatever_the_clock_does(
    passed_ms: int, reads: int
) -> None:
    world = World()
    await world.directory.people(["ann"])
    world.now_ms += passed_ms
    await world.directory.people(["ann"])
    assert world.store.reads == reads


def nested(depth: int) -> Any:
    deep: Any = []
    for _ in range(depth):
        deep = [deep]
    return deep


@pytest.mark.attack(
    "break whoever asks for a user's keys by odd ones that are stored",
    "stored keys are checked again when they are read",
)
@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"unsigned": nested(400)}, True),
        ({"more": "\ud800"}, True),
        ({"keys": nested(400)}, False),
        ({"algorithms": ["\ud800"]}, False),
        ({"signatures": {"x": {"y": "z" * 5_000}}}, False),
    ],
)
async def test_odd_keys_that_were_stored_hold_up_no_one(odd: dict[str, Any], kept: bool) -> None:  # noqa: FBT001
    world = World()
    plain = {"user_id": "@ann:x", "device_id": "D", "algorithms": ["a"], "keys": {"k": "v"}, "signatures": {}}
    stored = [("GOOD", plain), ("ODD", plain | odd)]
    world.store.devices = [Device("", name, name, 0, keys=keys) for name, keys in stored]
    person = (await world.directory.people(["ann"]))["ann"]
    assert person.keys() == dict.fromkeys(["GOOD", "ODD"] if kept else ["GOOD"], plain)
    assert person.keyed == person.keys().keys()
