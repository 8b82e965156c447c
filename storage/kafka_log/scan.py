"""A scan of the log for whatever mentions a user. Reads everything, and changes nothing."""

from collections.abc import Sequence
from typing import Final

from storage.access import OPEN, Access
from storage.kafka_log.admin import KafkaLogAdmin
from storage.kafka_log.reader import KafkaLogReader
from storage.mentions import Needles

_GROUP: Final = "scan"
"""Nothing is ever committed to it."""

_WAIT_MS: Final = 1_000
_RECORDS: Final = 1_000
_QUIET: Final = 5
"""So many empty polls in a row mean that there is no more."""


async def scan(
    bootstrap: str, topics: Sequence[str], wanted: Needles, access: Access = OPEN
) -> dict[str, int]:
    """Count, by topic, the records that mention the user; those that have none are not in it.

    Raises:
        Unavailable: No broker answers.
    """
    admin = KafkaLogAdmin(bootstrap, access=access)
    await admin.start()
    try:
        found: dict[str, int] = {}
        for topic in topics:
            if await admin.partitions(topic) is None:
                continue
            starts, ends = await admin.starts(topic), await admin.ends(topic)
            count = await _count((bootstrap, access), topic, starts, ends, wanted)
            if count:
                found[topic] = count
    finally:
        await admin.close()
    return found


async def _count(
    log: tuple[str, Access], topic: str, starts: dict[int, int], ends: dict[int, int], wanted: Needles
) -> int:
    left = {shard: end for shard, end in ends.items() if starts.get(shard, 0) < end}
    if not left:
        return 0
    bootstrap, access = log
    reader = KafkaLogReader(bootstrap, topic, _GROUP, access=access)
    await reader.start()
    count = quiet = 0
    try:
        await reader.assign({shard: starts.get(shard, 0) for shard in left})
        while left and quiet < _QUIET:
            polled = await reader.poll(wait_ms=_WAIT_MS, limit=_RECORDS)
            quiet = 0 if polled else quiet + 1
            for shard, records in polled.items():
                count += sum(wanted.within(record.value) for record in records)
                if records and records[-1].offset + 1 >= ends.get(shard, 0):
                    left.pop(shard, None)
    finally:
        await reader.close()
    return count
