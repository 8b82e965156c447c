"""Alice and Bob, each in a browser."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from tests.browser.browsers import Profile
from tests.browser.client import Client

Profiles = Callable[..., Any]


def names() -> tuple[str, str]:
    """Return two usernames that no other test has."""
    word = secrets.token_hex(4)
    return f"alice.{word}", f"bob.{word}"


async def person(profile: Profile, username: str, name: str) -> Client:
    client = await Client.opened(profile)
    await client.sign_up(username, name)
    return client


async def couple(profiles: Profiles, url: str, bobs: str | None = None) -> tuple[Client, Client]:
    """Return Alice and Bob, each in a browser, with their conversation open; Bob's may have its own way."""
    for_alice, for_bob = names()
    alice, bob = await asyncio.gather(
        person(await profiles(url), for_alice, "Alice"), person(await profiles(bobs or url), for_bob, "Bob")
    )
    await alice.find(for_bob)
    await alice.write("Hello Bob")
    await bob.open("Alice")
    await bob.write("Hello Alice")
    await alice.expect_message("Hello Alice")
    return alice, bob
