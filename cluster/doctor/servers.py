"""Checks of Kafka, MongoDB and Redis: pure judgements of what each says of itself."""

from collections.abc import Iterator, Mapping
from typing import Final

from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.settings import Settings
from storage.cluster_rows import LogState
from storage.kafka_log.client import MAX_RECORD
from storage.kafka_log.inspection import LogInspection, TopicInspection
from storage.keyring import DataKey, KeyRing, SealBroken
from storage.mongo.inspection import StoreInspection
from storage.redis.inspection import CacheInspection
from storage.topics import MAILBOX

_OLDEST_MONGO: Final = (7, 0)
_OLDEST_REDIS: Final = (6, 2)
_SKEW_WARNS_MS: Final = 2_000
_SKEW_FAILS_MS: Final = 60_000
_DAY_MS: Final = 24 * 3600 * 1000


# --- Kafka ----------------------------------------------------------------------------------------


def judge_log(
    found: LogInspection, settings: Settings, states: Mapping[int, LogState] | None
) -> Iterator[Finding]:
    """Judge brokers and topics.

    Args:
        found: What the brokers say.
        settings: What is wanted; without a URL of the operator's own the broker is the embedded one.
        states: What MongoDB says was stored, None if it does not say.
    """
    yield ok("kafka", f"{len(found.brokers)} broker(s): {', '.join(found.brokers)}")
    yield _topics(found, len(states or ()), settings.first_shards)
    if settings.kafka.url is not None:
        yield _copies(found, settings)
        yield _retention(found, states)


def _topics(found: LogInspection, known: int, first: int) -> Finding:
    """Judge the topics by the number of shards that is stored, or else by what a first start would make."""
    shards = known or first
    wrong = {name: each.partitions for name, each in found.topics.items()}
    wrong = {name: count for name, count in wrong.items() if count != shards}
    if wrong:
        there = ", ".join(f"{name} has {count} partitions" for name, count in wrong.items())
        count = next(iter(wrong.values()))
        return failed(
            "topics",
            f"{there}, and this installation has {shards} shards"
            if known
            else f"{there}, and the first start would make {shards} shards",
            "Use the Kafka cluster that this installation was made with."
            if known
            else f"Set ROOST_SHARDS={count}, or use another Kafka.",
        )
    small = [name for name, each in found.topics.items() if _limit(each) < MAX_RECORD]
    if small:
        return failed(
            "topics",
            f"{', '.join(small)} refuse records of {MAX_RECORD} bytes",
            f"Set max.message.bytes={MAX_RECORD + 1024 * 1024} on {', '.join(small)} with kafka-configs.",
        )
    if not found.topics:
        return ok("topics", "none yet; the coordinator makes them at the first start")
    return ok("topics", f"{', '.join(sorted(found.topics))} with {shards} partitions each")


def _limit(topic: TopicInspection) -> int:
    return int(topic.settings.get("max.message.bytes", MAX_RECORD))


def _copies(found: LogInspection, settings: Settings) -> Finding:
    brokers, wanted = len(found.brokers), settings.kafka.replicas
    if wanted > brokers:
        return failed(
            "copies",
            f"{wanted} copies are set and there are {brokers} brokers",
            f"Start more brokers, or set ROOST_KAFKA__REPLICAS={brokers}.",
        )
    fewest = min((each.replicas for each in found.topics.values()), default=wanted)
    if brokers == 1:
        return warning(
            "copies",
            "one broker: a lost disk loses what was accepted and not stored yet",
            "Run three brokers and set ROOST_KAFKA__REPLICAS=3 before the first start.",
        )
    if fewest == 1:
        return failed(
            "copies",
            f"{brokers} brokers, and one copy of each record",
            "Set ROOST_KAFKA__REPLICAS=3; for topics that are there use kafka-reassign-partitions.",
        )
    wrong = (_copies_of(name, each) for name, each in found.topics.items())
    return next((each for each in wrong if each is not None), ok("copies", f"{fewest} of each record"))


def _copies_of(name: str, topic: TopicInspection) -> Finding | None:
    sure = int(topic.settings.get("min.insync.replicas", 1))
    change = f"Set min.insync.replicas={topic.replicas - 1} on {name} with kafka-configs."
    if topic.replicas > 2 and sure < 2:  # noqa: PLR2004 -- two copies are the least that survive one
        return failed("copies", f"{name} confirms a record that one broker has", change)
    if sure >= topic.replicas:
        return warning("copies", f"{name} stops when one broker is away", change)
    if topic.in_sync < topic.replicas:
        return warning(
            "copies",
            f"a partition of {name} has {topic.in_sync} of {topic.replicas} copies up to date",
            "Look after the broker that is away or behind.",
        )
    return None


def _retention(found: LogInspection, states: Mapping[int, LogState] | None) -> Finding:
    mailbox = found.topics.get(MAILBOX)
    if mailbox is None:
        return ok("retention", "no topic yet")
    gone = [
        shard
        for shard, first in enumerate(mailbox.firsts)
        if states and shard in states and states[shard].stored < first
    ]
    longer = f"Set retention.ms={7 * _DAY_MS} and retention.bytes=-1 on {MAILBOX} with kafka-configs."
    if gone:
        return failed("retention", f"shards {gone} lost records before they were stored", longer)
    if "compact" in mailbox.settings.get("cleanup.policy", "delete"):
        return failed(
            "retention",
            f"{MAILBOX} is compacted: records without a key vanish",
            f"Set cleanup.policy=delete on {MAILBOX} with kafka-configs.",
        )
    kept = int(mailbox.settings.get("retention.ms", -1))
    if 0 <= kept < _DAY_MS or int(mailbox.settings.get("retention.bytes", -1)) >= 0:
        return warning(
            "retention",
            f"{MAILBOX} keeps records {kept / 3_600_000:g} hours: a longer outage of MongoDB loses messages"
            if 0 <= kept < _DAY_MS
            else f"{MAILBOX} forgets records by size, stored or not",
            longer,
        )
    return ok("retention", "longer than what is not stored yet")


# --- MongoDB --------------------------------------------------------------------------------------


def judge_store(found: StoreInspection, settings: Settings, ring: KeyRing | None) -> Iterator[Finding]:
    """Judge the store, and whether the key ring opens what is in it."""
    own = settings.mongo.url is not None
    if own and _number(found.version) < _OLDEST_MONGO:
        yield failed("mongo", f"MongoDB {found.version}", "Use MongoDB 7 or newer.")
    elif own and not found.copies:
        yield warning(
            "mongo",
            "a single server: what is stored is lost with its disk",
            "Make it a replica set: start mongod with --replSet, then rs.initiate(), three members.",
        )
    else:
        copies = f", {found.copies}" if found.copies else ""
        yield ok("mongo", f"MongoDB {found.version}{copies}; a majority took a write")
    yield _shards(found, settings)
    yield _opens(found, settings, ring)


def _shards(found: StoreInspection, settings: Settings) -> Finding:
    count = len(found.states)
    if count and settings.shards not in (None, count):
        return warning(
            "shards",
            f"{count}; ROOST_SHARDS={settings.shards} counts at the first start only",
            "Take ROOST_SHARDS out of the settings; for more shards: roost scale shards=N.",
        )
    return ok("shards", f"{count}" if count else f"{settings.first_shards}, made at the first start")


def _opens(found: StoreInspection, settings: Settings, ring: KeyRing | None) -> Finding:
    restore = (
        f"Put the key ring of this installation at {settings.keyring_file} (from your backup or another "
        "node): no other opens it."
    )
    if found.sealed is None:
        return ok("sealed values", "none yet")
    if ring is None:
        return failed("sealed values", "MongoDB holds some, and there is no key ring", restore)
    content = ring.secrets
    if (newest := found.rings.get(content.installation, 0)) > content.serial:
        behind = f"the key ring here is an older copy: change {content.serial}, and {newest} is used"
        fix = f"Copy {settings.keyring_file} from a machine where roost doctor shows change {newest}."
        return failed("sealed values", behind, fix)
    identity, sealed = found.sealed
    try:
        DataKey.open(ring, identity, sealed)
    except SealBroken as exc:
        return failed("sealed values", str(exc), restore)
    return ok("sealed values", "the key ring opens them")


# --- Redis ----------------------------------------------------------------------------------------


def judge_cache(found: CacheInspection, settings: Settings) -> Iterator[Finding]:
    """Judge the cache."""
    if _number(found.version) < _OLDEST_REDIS:
        yield failed("redis", f"Redis {found.version}", "Use Redis 6.2 or newer, or Valkey.")
    elif not found.scripts:
        yield failed(
            "redis",
            "it runs no scripts",
            "Allow EVAL and EVALSHA for this user: ACL SETUSER name +@scripting.",
        )
    else:
        yield ok("redis", f"Redis {found.version}")
    limited = f"{found.max_bytes // 1024**2} MiB, {found.policy or 'policy unknown'}"
    if found.max_bytes and found.policy == "noeviction":
        yield warning(
            "redis memory",
            f"{limited}: when it is full, writes fail and limits count for each gateway alone",
            "Set maxmemory-policy to allkeys-lru: nothing in it is needed forever.",
        )
    elif found.evicted and settings.redis.url is not None:
        yield warning(
            "redis memory",
            f"{limited}; {found.evicted} keys were thrown out for want of memory",
            "Raise maxmemory: with its key, a limit starts over and a repeat is found the slow way.",
        )
    else:
        yield ok("redis memory", limited if found.max_bytes else "no limit")


# --- clocks ---------------------------------------------------------------------------------------


def judge_clocks(ahead_ms: Mapping[str, int]) -> Finding:
    """Judge how far the servers' clocks are from ours."""
    shown = ", ".join(f"{name} {ahead / 1000:+.1f} s" for name, ahead in sorted(ahead_ms.items()))
    worst = max(map(abs, ahead_ms.values()), default=0)
    fix = "Keep the clocks of all machines together: run chrony or systemd-timesyncd on each."
    if worst > _SKEW_FAILS_MS:
        return failed("clock", f"against ours: {shown}", fix)
    if worst > _SKEW_WARNS_MS:
        return warning("clock", f"against ours: {shown}", fix)
    return ok("clock", f"against ours: {shown}" if shown else "nothing to compare with")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
