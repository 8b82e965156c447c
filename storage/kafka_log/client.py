"""Shared by the Kafka clients: errors translated once, and no topic created by accident."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import aiokafka.client
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from roost.errors import Unavailable
from storage.access import Access

REQUEST_TIMEOUT_MS: Final = 8_000
MAX_RECORD: Final = 4 * 1024 * 1024
"""Bytes of one value; the topics are made to take them."""

# A broker that makes unknown topics when asked about them would, after a crash of a log kept in
# memory, hand out a topic with its own number of partitions before the coordinator has seen that
# the log is gone. aiokafka asks so, and has no option for it: here every question says no.
aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


def connection(bootstrap: str, access: Access) -> dict[str, Any]:
    """Return the options with which each of aiokafka's clients connects.

    Raises:
        Unavailable: A file for TLS cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap,
        "security_protocol": _PROTOCOLS[access.user is not None, access.tls],
    }
    if access.user is not None:
        options |= {
            "sasl_mechanism": access.mechanism,
            "sasl_plain_username": access.user,  # of every mechanism, whatever the name says
            "sasl_plain_password": access.password or "",
        }
    if access.tls:
        try:
            options["ssl_context"] = access.context()
        except OSError as exc:
            raise Unavailable(f"The files for TLS towards Kafka cannot be used: {exc}.") from exc
    return options


_PROTOCOLS: Final = {
    (False, False): "PLAINTEXT",
    (False, True): "SSL",
    (True, False): "SASL_PLAINTEXT",
    (True, True): "SASL_SSL",
}
"""By whether someone signs in, and whether the connection is encrypted."""


def away(exc: BaseException) -> Unavailable:
    """Return the port's exception for a driver's."""
    return Unavailable(f"Kafka did not carry out the call ({type(exc).__name__}).")


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's exception into ``Unavailable``."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as exc:
        raise away(exc) from exc


_stopping: set[asyncio.Task[None]] = set()


async def stopped(client: Any) -> None:
    """Stop one of aiokafka's clients; who is cancelled meanwhile is cancelled, and it stops all the same.

    aiokafka swallows a cancellation of the task that waits for it here, which would then never end.
    """
    task = asyncio.create_task(_stop(client))
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)
    await asyncio.shield(task)


async def _stop(client: Any) -> None:
    """Stop it, also while a broker is away, and if it has not asked for anything yet.

    aiokafka lets out that tasks of its own were cancelled as if we were; a consumer is half closed then.
    """
    task = asyncio.current_task()
    try:
        await client.stop()
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise
        if (fetcher := getattr(client, "_fetcher", None)) is not None:
            fetches = list(fetcher._pending_tasks)  # noqa: SLF001 -- see above
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
        await client._client.close()  # noqa: SLF001 -- likewise
