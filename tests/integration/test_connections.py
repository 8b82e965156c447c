"""Connections to hosts over real sockets: all at once, to the right life, and again when they break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from actors.rpc import messages as msg
from actors.rpc.connections import Connections
from actors.rpc.link import Link, connect, serve
from actors.service import Address
from cluster.local.servers import HOST
from storage.shard_map import ShardMap

SECRET = b"s" * 32
ME = ("router", "router-1")


class Host:
    """A host's end of its links."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def opened(self, link: Link) -> None:
        self.links.append(link)

    def received(self, link: Link, messages: list[Any]) -> None: ...

    def closed(self, link: Link) -> None:
        self.links.remove(link)


class Hanging(asyncio.Protocol):
    """A host that accepts and says nothing, as one that is stopped does."""

    def __init__(self, callers: list[asyncio.BaseTransport]) -> None:
        self._callers = callers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._callers.append(transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._callers.remove(self._transport)


class Owner:
    """The role, which writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.messages: list[Any] = []

    def linked(self, host: str, _link: Link) -> None:
        self.told.append(f"+{host}")

    def unlinked(self, host: str, _link: Link) -> None:
        self.told.append(f"-{host}")

    def received(self, link: Link, messages: list[Any]) -> None:  # noqa: ARG002 -- the port's
        self.messages += messages


class World:
    """Connections of one role, and the hosts of its map."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.owner, self.connections = Owner(), Connections(ME, SECRET)
        self.connections.report_to(self.owner)
        self.callers: list[asyncio.BaseTransport] = []
        self._version = 0

    async def host(self) -> tuple[Host, Address]:
        host = Host()
        server, address = await serve(HOST, 0, host, msg.decode_to_host, secret=SECRET)
        self._stack.callback(server.close)
        return host, address

    async def hanging(self) -> Address:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Hanging(self.callers), HOST, 0)
        self._stack.callback(server.close)
        found: Address = server.sockets[0].getsockname()[:2]
        return found

    def show(self, **lives: tuple[Address, str]) -> None:
        self._version += 1
        addresses = {name: address for name, (address, _) in lives.items()}
        incarnations = {name: life for name, (_, life) in lives.items()}
        self.connections.apply(
            ShardMap(self._version, tuple(lives), ("router-1",), (), (1,), addresses, incarnations)
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        found = World(stack)
        stack.push_async_callback(found.connections.close)
        yield found


async def until(what: Callable[[], Any], wanted: Any, seconds: float = 2.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while (found := what()) != wanted:
        assert asyncio.get_running_loop().time() < deadline, f"the last state was {found!r}"
        await asyncio.sleep(0.01)


async def test_a_host_that_accepts_and_hangs_delays_no_other(world: World) -> None:
    hangs, (_, address) = await world.hanging(), await world.host()
    world.show(a=(hangs, "1"), b=(hangs, "1"), c=(address, "1"))
    await until(lambda: list(world.connections.links), ["c"], seconds=1.0)
    await until(lambda: len(world.callers), 2)


async def test_a_host_that_hangs_does_not_collect_connections(world: World) -> None:
    hangs = await world.hanging()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await connect(hangs, Host(), msg.decode_from_host, secret=SECRET, me=ME, timeout_s=0.05)
    await until(lambda: world.callers, [])


async def test_a_broken_link_is_replaced_and_its_owner_is_told(world: World) -> None:
    host, address = await world.host()
    world.show(a=(address, "1"))
    await until(lambda: len(host.links), 1)
    [first] = host.links
    first.close()
    await until(lambda: world.owner.told, ["+a", "-a", "+a"])
    await until(lambda: len(host.links), 1)
    assert host.links != [first]


async def test_there_is_one_link_to_the_incarnation_on_the_map(world: World) -> None:
    (old, before), (new, now) = await world.host(), await world.host()
    world.show(a=(before, "1"))
    await until(lambda: world.owner.told, ["+a"])
    link = world.connections.links["a"]
    assert world.connections.name_of(link) == "a"
    world.show(a=(before, "1"))
    assert world.connections.links["a"] is link, "nothing has changed"
    world.show(a=(now, "2"))
    assert world.owner.told == ["+a", "-a"], "told at once, before the other side has read anything"
    await until(lambda: (len(old.links), len(new.links)), (0, 1))
    assert world.connections.name_of(link) == ""
    world.show()
    await until(lambda: (world.connections.links, new.links), ({}, []))
    assert world.owner.told == ["+a", "-a", "+a", "-a"]


async def test_a_host_that_is_away_is_reached_when_it_is_back(world: World) -> None:
    _, address = await world.host()
    away = (HOST, 1)
    world.show(a=(away, "1"), b=(address, "1"))
    await until(lambda: world.owner.told, ["+b"])
    world.show(a=(address, "2"), b=(address, "1"))
    await until(lambda: world.owner.told, ["+b", "+a"])


async def test_a_hosts_message_reaches_the_owner(world: World) -> None:
    host, address = await world.host()
    world.show(a=(address, "1"))
    await until(lambda: len(host.links), 1)
    host.links[0].send(msg.NotMine(3, 1))
    await until(lambda: world.owner.messages, [msg.NotMine(3, 1)])


async def test_nothing_is_dialled_or_linked_after_the_end(world: World) -> None:
    hangs, (host, address) = await world.hanging(), await world.host()
    world.show(a=(hangs, "1"), b=(address, "1"))
    await until(lambda: (len(world.callers), len(host.links)), (1, 1))
    await world.connections.close()
    await until(lambda: (len(world.callers), len(host.links)), (0, 0))
