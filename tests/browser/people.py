"""Alice and Bob, each in a browser, and either of them in a terminal as well."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from roost.client import Client as Sdk
from roost.client import Event, Options
from tests.browser.browsers import Profile
from tests.browser.client import PASSWORD, Client

Profiles = Callable[..., Any]


def names() -> tuple[str, str]:
    """Return two usernames that no other test has."""
    word = secrets.token_hex(4)
    return f"alice.{word}", f"bob.{word}"


async def person(profile: Profile, username: str, name: str) -> Client:
    client = await Client.opened(profile)
    await client.sign_up(username, name)
    return client


async def couple(profiles: Profiles, url: str, bobs: str | Profile | None = None) -> tuple[Client, Client]:
    """Return Alice and Bob, each in a browser, with their conversation open; Bob's may have its own way."""
    his = bobs if isinstance(bobs, Profile) else await profiles(bobs or url)
    for_alice, for_bob = names()
    alice, bob = await asyncio.gather(
        person(await profiles(url), for_alice, "Alice"), person(his, for_bob, "Bob")
    )
    await alice.find(for_bob)
    await alice.write("Hello Bob")
    await bob.open("Alice")
    await bob.write("Hello Alice")
    await alice.expect_message("Hello Alice")
    return alice, bob


@asynccontextmanager
async def terminal(url: str, username: str) -> AsyncIterator[tuple[Sdk, list[Event]]]:
    """A further device of someone, on the SDK, and what it is told."""
    told: list[Event] = []
    sdk = await Sdk.login(url, username, PASSWORD, options=Options(on_event=told.append))
    try:
        await sdk.start()
        yield sdk, told
    finally:
        await sdk.close()


async def lacks(told: list[Event], kind: type[Event], text: str) -> str:
    """Return that no such event with this text was told; nothing if it was."""
    there = any(isinstance(each, kind) and text in str(getattr(each, "body", "")) for each in told)
    return "" if there else f"no {kind.__name__} with {text!r} in {told}"
