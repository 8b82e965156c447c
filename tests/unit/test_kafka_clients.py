"""Clients of aiokafka are stopped whatever happens to who stops them."""

import asyncio
import contextlib

import pytest

from storage.kafka_log.client import stopped


class Inner:
    """The connections of a client."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class Swallowing:
    """A client that takes a cancellation of its caller for one of its own task, as aiokafka's do."""

    def __init__(self) -> None:
        self._client = Inner()
        self.stopping, self.go_on = asyncio.Event(), asyncio.Event()
        self.has_stopped = False

    async def stop(self) -> None:
        self.stopping.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self.go_on.wait()
        self.has_stopped = True


class Escaping(Swallowing):
    """A client that lets out that a task of its own was cancelled."""

    async def stop(self) -> None:
        raise asyncio.CancelledError


async def test_who_is_cancelled_while_a_client_stops_is_cancelled_and_the_client_stops() -> None:
    client = Swallowing()
    task = asyncio.create_task(stopped(client))
    await client.stopping.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    client.go_on.set()
    await asyncio.sleep(0)
    assert client.has_stopped


async def test_a_client_that_cancels_itself_cancels_no_one_else() -> None:
    client = Escaping()
    await stopped(client)
    assert client._client.closed
