"""Shared by the Kafka clients: errors translated once, and no topic created by accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import aiokafka.client
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from roost.errors import Unavailable

REQUEST_TIMEOUT_MS: Final = 8_000
MAX_RECORD: Final = 4 * 1024 * 1024
"""Bytes of one value; the topics are made to take them."""

# A broker that makes unknown topics when asked about them would, after a crash of a log kept in
# memory, hand out a topic with its own number of partitions before the coordinator has seen that
# the log is gone. aiokafka asks so, and has no option for it: here every question says no.
aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)


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
