"""Three people and the system they live with, which is stopped, killed and started again around them."""

import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
from pymongo import MongoClient

from roost import client as sdk
from tests.live.app import App
from tests.live.running import System


class House:
    """Ann writes to Ben, who is there, and to Cat, who comes later.

    Attributes:
        kept: Numbers of what was said before the copy was made.
        gone: Numbers of what was said after it.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.kept: list[int] = []
        self.gone: list[int] = []
        self._copy = system.folder / "copy"
        self._apps: dict[str, App] = {}

    def make_a_copy(self) -> None:
        """Copy the data folder of the stopped system."""
        shutil.copytree(self.system.data, self._copy)

    def put_the_copy_back(self) -> None:
        """Have the data folder be as it was."""
        shutil.rmtree(self.system.data)
        shutil.copytree(self._copy, self.system.data)

    async def register(self) -> None:
        async with sdk.connections() as http:
            for name in ("ann", "ben", "cat"):
                self._apps[name] = await App(self.system.http, name, http).join()
                await self._apps[name].leave()

    @asynccontextmanager
    async def there(self, *names: str) -> AsyncIterator[list[App]]:
        """Connect someone who has been told nothing yet."""
        async with sdk.connections() as http:
            apps = [self._apps[name] for name in names]
            for app in apps:
                app.http, app.told = http, []
                await app.come_back()
            try:
                yield apps
            finally:
                for app in apps:
                    await app.leave()

    async def said(self, text: str, to: str, count: int, *, missed: bool = False) -> list[int]:
        """Have ann say something; returns the numbers under which it came, once each, in order.

        With ``missed`` the clients know of entries that are not there any more, and are told so.
        """
        async with self.there("ann", to) as (ann, other):
            for number in range(count):
                await ann.client.send(to, f"{text} {number}")
            await ann.gets(lambda: not ann.client.profile.state.outbox, "every delivery", within=60)
        assert missed or not [*ann.all(sdk.Missed), *other.all(sdk.Missed)]
        return numbers(ann, other, text, count)

    async def left(self, text: str, to: str, count: int) -> None:
        """Have ann say something to someone who is away."""
        async with self.there("ann") as (ann,):
            for number in range(count):
                await ann.client.send(to, f"{text} {number}")
            await ann.gets(lambda: len(ann.all(sdk.Accepted)) == count, "every answer", within=60)

    async def found(self, text: str, by: str, count: int) -> list[int]:
        """Have someone come who finds what was left; returns its numbers."""
        async with self.there(by) as (app,):
            await app.gets(lambda: len(app.texts()) >= count, "every message", within=60)
        assert not app.all(sdk.Missed)
        return numbers(app, app, text, count)


def numbers(sender: App, other: App, text: str, count: int) -> list[int]:
    assert not [*sender.all(sdk.Failed), *other.all(sdk.Undecryptable)]
    assert other.texts() == [f"{text} {number}" for number in range(count)]
    found = [event.seq for event in other.all(sdk.MessageReceived)]
    assert found == sorted(set(found))
    return found


def bases(system: System) -> dict[int, int]:
    """Return the base of each shard's numbers."""
    with MongoClient[dict[str, int]](system.mongo) as mongo:
        return {state["_id"]: state["base"] for state in mongo["roost"]["log"].find()}


def kill_all(system: System) -> None:
    """``kill -9`` of everything at once, as when the machine loses its power."""
    doomed = system.processes()
    for each in doomed:
        os.kill(each.pid, signal.SIGSTOP)  # so that nobody sees another's end and does something about it
    for each in doomed:
        with contextlib.suppress(ProcessLookupError):  # it ended with its parent
            os.kill(each.pid, signal.SIGKILL)
    system.wait()
    psutil.wait_procs(doomed, timeout=20)
    assert not [each for each in system.processes() if each in doomed]
