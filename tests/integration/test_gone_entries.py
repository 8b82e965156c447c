"""A device whose entries were swept while it was away is told so: the SDK on the real roles."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeVar

import aiohttp
import pytest
from msgspec.structs import replace

from actors.host import HostSettings
from actors.host.upkeep.sweep_rules import Keep
from actors.host.upkeep.sweeper import SweepSettings
from actors.user.quota import Budget, Quotas
from roost import client as sdk
from roost.clock import now_ms
from roost.testing.roles import PROMPT, Roles, start

WAIT_S = 10
PASSWORD = "a good password"
KEEP = Keep(entry_ms=1, messages=0, size=0, device_ms=1)
"""Everything but the newest entry goes at once: no device counts as in use."""

SMALL = replace(PROMPT, quotas=Quotas(stranger=Budget(2)))
"""A stranger has room for two messages."""

Mode = Literal["stream", "poll"]
Event = TypeVar("Event", bound=sdk.Event)


class Party:
    """Two people on a system that keeps little.

    Attributes:
        mode: How the apps hear of what is new.
        told: What the apps were told.
    """

    def __init__(self, roles: Roles, http: aiohttp.ClientSession, mode: Mode, stack: AsyncExitStack) -> None:
        self._url, self._store, self._host = roles
        self._http, self.mode = http, mode
        self._keystores = {name: sdk.MemoryKeystore() for name in ("alice", "bob")}
        self._stack = stack
        self.told: list[sdk.Event] = []

    async def register(self) -> None:
        """Make both accounts; both apps are closed then."""
        for name, keystore in self._keystores.items():
            client = await sdk.Client.register(self._url, name, PASSWORD, keystore=keystore, http=self._http)
            await client.close()

    async def opened(self, name: str) -> sdk.Client:
        """Start an app."""
        options = sdk.Options(mode=self.mode, on_event=self.told.append)
        client = sdk.Client.resume(self._keystores[name], http=self._http, options=options)
        self._stack.push_async_callback(client.close)
        await client.start()
        return client

    def left(self) -> list[tuple[int, int]]:
        """Return the number of each entry that Alice's mailbox holds, and that of the one before it."""
        return [(each.seq, each.prev) for each in self._store.documents.get(self._user(), {}).values()]

    def remembered(self) -> bool:
        """Whether Alice's actor is in memory, and with it perhaps what is swept."""
        return self._host._residents.get(self._user()) is not None

    def _user(self) -> str:
        return next(user for user, account in self._store.users.items() if account.username == "alice")

    def of(self, kind: type[Event]) -> list[Event]:
        """Return what of this kind the apps were told."""
        return [each for each in self.told if isinstance(each, kind)]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until it holds."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"after {WAIT_S} s not yet: {what}")


async def away(party: Party, bob: sdk.Client, last: str, **options: Any) -> tuple[int, int]:
    """Have Bob write until only his last message is left; returns its number, and the one before it."""
    ids = [await bob.send("alice", f"{number}") for number in range(4)]
    ids.append(await bob.send("alice", last, **options))
    await until(lambda: len(party.of(sdk.Accepted)) == len(ids), "Bob's messages are accepted")
    [seq] = [each.seq for each in party.of(sdk.Accepted) if each.id == ids[-1]]
    await until(lambda: [each for each, _ in party.left()] == [seq], "all before the last is swept")
    await until(lambda: not party.remembered(), "her actor is gone")
    return party.left()[0]


@asynccontextmanager
async def started(settings: HostSettings, mode: Mode) -> AsyncIterator[Party]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(sdk.connections())
        made = Party(await start(now_ms, stack, settings), http, mode, stack)
        await made.register()
        yield made


@pytest.fixture(params=["stream", "poll"])
async def party(request: pytest.FixtureRequest) -> AsyncIterator[Party]:
    sweep = SweepSettings(KEEP, pause_s=0.001, every_s=0.05, expired_every_s=0.05)
    # What an actor has in memory is not missed yet: it goes at once.
    settings = replace(PROMPT, sweep=sweep, idle_ms=1, sweep_every_s=0.02)
    async with started(settings, request.param) as made:
        yield made


async def test_what_is_gone_is_told_before_what_is_left(party: Party) -> None:
    bob = await party.opened("bob")
    seq, before = await away(party, bob, "the last")
    await party.opened("alice")
    await until(lambda: party.of(sdk.MessageReceived), "the last message comes")
    [missed] = party.of(sdk.Missed)
    [message] = party.of(sdk.MessageReceived)
    assert (missed.upto, message.seq) == (before, seq)
    assert party.told.index(missed) < party.told.index(message)


async def test_what_is_gone_is_told_though_nothing_is_left(party: Party) -> None:
    """The last message has disappeared; what comes later is in order, and nothing is told twice."""
    bob = await party.opened("bob")
    last, before = await away(party, bob, "soon gone", expires_in_s=1)
    await asyncio.sleep(1)
    alice = await party.opened("alice")
    await until(lambda: party.of(sdk.Missed), "it is told what is gone")
    # A page has one end, behind what disappeared.
    assert [each.upto for each in party.of(sdk.Missed)] == [before if party.mode == "stream" else last]
    await until(lambda: alice.profile.state.cursor == last, "all of it is acknowledged")
    await bob.send("alice", "later")
    await until(lambda: party.of(sdk.MessageReceived), "the next message comes")
    await alice.close()
    await party.opened("alice")
    await until(lambda: len(party.of(sdk.Synced)) > 1, "the app is up to date again")
    assert len(party.of(sdk.Missed)) == 1
    assert not party.of(sdk.Undecryptable)


@pytest.mark.parametrize("mode", ["stream", "poll"])
async def test_what_disappeared_unread_leaves_no_mailbox_full(mode: Mode) -> None:
    async with started(SMALL, mode) as party:
        bob = await party.opened("bob")
        for number in range(2):
            await bob.send("alice", f"{number}", expires_in_s=1)
        await until(lambda: len(party.of(sdk.Accepted)) == 2, "Bob's messages are accepted")
        await asyncio.sleep(1)
        alice = await party.opened("alice")
        end = party.of(sdk.Accepted)[-1].seq
        await until(lambda: alice.profile.state.cursor == end, "what disappeared is behind her")
        await bob.send("alice", "the third")
        await until(lambda: party.of(sdk.MessageReceived), "the third comes")
        assert [each.text for each in party.of(sdk.MessageReceived)] == ["the third"]
        assert not party.of(sdk.Missed)
