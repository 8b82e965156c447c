"""Who is known, while entries are forgotten in between."""

import asyncio
from typing import Any

from api.identity.directory import Directory
from storage.records import Device, User


class Store:
    """Knows everyone; its answers wait for `answers`."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.accounts = self

    async def user_by_name(self, username: str) -> User | None:
        await self.answers.wait()
        if username == "nobody":
            return None
        return User(f"id of {username}", username, "", username, 0)

    async def devices_of(self, users: list[str]) -> dict[str, list[Device]]:
        return {user: [] for user in users}


class World:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.store = Store()
        store: Any = self.store
        self.directory = Directory(store, lambda: self.now_ms)


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
