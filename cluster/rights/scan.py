"""The proof of an erasure: a look through every store for whatever mentions the user."""

from typing import Final

from msgspec import Struct

from cluster.settings import Settings
from roost.errors import Unavailable
from storage.kafka_log.inspection import inspect
from storage.kafka_log.scan import scan as scan_log
from storage.mentions import Needles
from storage.mongo.scan import scan as scan_store
from storage.redis.scan import scan as scan_cache
from storage.topics import MAILBOX, MAILBOX_DEAD, PUSH, PUSH_DEAD

_TOPICS: Final = (MAILBOX, PUSH, MAILBOX_DEAD, PUSH_DEAD)
_OTHERS: Final = {
    "mailbox": "entries of people who received its messages, or were told of its devices: theirs",
    "conversations": "rows of people it wrote with: theirs, under the id that is gone",
    "blocks": "blocks of people who blocked it: theirs",
    "audit": "acts of operators on it, by its id: the log is never shortened",
    "stubs": "messages that went nowhere: seven days after they were sent",
    "dead": "records of others that could not be handled: until the operator deletes them",
}
_OWN: Final = {
    "blobs": "files whose key is gone: until their bytes are removed, within minutes",
    "erasures": "its id and a keyed digest of its username, which is reserved: `retention.username_days`",
    "sessions": "ended, so that no access token passes: a minute longer than `tokens.access_s`",
}


class Remains(Struct, frozen=True):
    """Something that mentions the user.

    Attributes:
        where: The store, and the place in it.
        count: How many.
        why: Whose it is, or until when it stays.
        expected: Whether it may be there after an erasure.
    """

    where: str
    count: int
    why: str
    expected: bool


async def scan(settings: Settings, wanted: Needles, *, embedded: bool) -> list[Remains]:
    """Look through MongoDB, Redis and the log; backups are out of reach.

    Files are named by chance and sealed: what ties one to its owner is a row of MongoDB.

    Args:
        settings: With the address of every server.
        wanted: What to look for.
        embedded: The log is the embedded one, which the coordinator trims.

    Raises:
        Unavailable: One of them does not answer.
    """
    found: list[Remains] = []
    mongo, redis, kafka = settings.mongo, settings.redis, settings.kafka
    access = mongo.security.access()
    in_store = await scan_store(_url("mongo", mongo.url), mongo.database, mongo.driver, wanted, access)
    for name, counted in in_store.items():
        if counted.own:
            expected = name in _OWN
            found.append(Remains(f"MongoDB {name}", counted.own, _OWN.get(name, "NOT ERASED"), expected))
        if counted.others:
            expected = name in _OTHERS
            why = _OTHERS.get(name, _OWN.get(name, "NOT ERASED"))
            found.append(Remains(f"MongoDB {name}", counted.others, why, expected or name in _OWN))
    count, longest_s = await scan_cache(
        _url("redis", redis.url), redis.prefix, wanted, redis.security.access()
    )
    if count:
        found.append(
            Remains("Redis", count, f"answers that were given: {longest_s} s at most", longest_s > 0)
        )
    found += await _log(settings, _url("kafka", kafka.url), wanted, embedded=embedded)
    return found


async def _log(settings: Settings, bootstrap: str, wanted: Needles, *, embedded: bool) -> list[Remains]:
    access = settings.kafka.security.access()
    counts = await scan_log(bootstrap, _TOPICS, wanted, access)
    told = await inspect(bootstrap, list(counts), access) if counts else None
    found = []
    for topic, count in counts.items():
        topic_settings = told.topics[topic].settings if told is not None and topic in told.topics else {}
        found.append(
            Remains(
                f"log {topic}",
                count,
                _until(settings, topic, topic_settings, embedded=embedded),
                expected=True,
            )
        )
    return found


def _until(settings: Settings, topic: str, of_topic: dict[str, str], *, embedded: bool) -> str:
    if topic in (MAILBOX_DEAD, PUSH_DEAD):
        return "until the operator deletes them"
    if embedded or settings.log.keep_mb:
        return f"{settings.log.keep_s:g} s after they were stored (`log.keep_s`), but for each shard's newest"
    retention = of_topic.get("retention.ms", "not told")
    return f"until Kafka's retention deletes them (retention.ms is {retention})"


def _url(server: str, url: str | None) -> str:
    if url is None:
        raise Unavailable(f"The address of {server} is not known.")
    return url
