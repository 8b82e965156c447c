"""A log that is read late: finds tests that wait for the first thing that comes, not for what they need."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer


def read_late(seconds: float) -> None:
    """Have every reader of the log in this process get what has come only after so many seconds."""
    at_once = AIOKafkaConsumer.getmany

    async def late(self: AIOKafkaConsumer, *partitions: Any, **limits: Any) -> Any:
        found = await at_once(self, *partitions, **limits)
        if found:
            await asyncio.sleep(seconds)
        return found

    AIOKafkaConsumer.getmany = late
