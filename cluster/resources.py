"""What roles are built from: the stores, the log and this node's certificate, opened by the settings."""

from typing import TYPE_CHECKING

from cluster.settings import Settings
from roost.clock import now_ms
from roost.errors import RoostError
from roost.node_certificate import NodeCertificate
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import READS, MongoStore

if TYPE_CHECKING:
    from storage.blobs import BlobStore
    from storage.redis.store import RedisStore

FETCH_WAIT_MS = 500
"""How long a broker that answers early may hold an empty fetch."""


def open_store(settings: Settings, keyring: KeyRing) -> MongoStore:
    """Open MongoDB; it connects at its first call."""
    mongo = settings.mongo
    return MongoStore(
        _url("mongo", mongo.url),
        mongo.database,
        mongo.driver,
        keyring,
        reads=mongo.reads or READS,
        access=mongo.security.access(),
    )


def open_cache(settings: Settings) -> "RedisStore":
    """Open Redis; it connects at its first call."""
    from storage.redis.store import RedisStore  # noqa: PLC0415 -- a router and the coordinator need none

    redis = settings.redis
    return RedisStore(_url("redis", redis.url), redis.prefix, access=redis.security.access())


def open_blobs(settings: Settings, store: MongoStore) -> "BlobStore":
    """Open the store of media; a folder is made if it is not there."""
    from storage.blobs import BlobStore, Quota, StoredObjects  # noqa: PLC0415 -- gateways and the coordinator

    media = settings.media
    quota = Quota(
        media.file_bytes,
        media.user_bytes,
        media.user_files,
        media.day_bytes,
        media.day_files,
        media.keep_s * 1000,
        media.unfinished_s * 1000,
    )
    return BlobStore(store.blobs, StoredObjects(settings.media_url, media.access()), quota, now_ms)


async def open_writer(settings: Settings) -> KafkaLogWriter:
    """Connect a writer to the log."""
    kafka = settings.kafka
    writer = KafkaLogWriter(
        _url("kafka", kafka.url),
        idempotent=kafka.idempotent,
        linger_ms=kafka.linger_ms,
        access=kafka.security.access(),
    )
    await writer.start()
    return writer


async def open_reader(settings: Settings, topic: str, group: str, *, at_least_ms: int = 0) -> KafkaLogReader:
    """Connect a reader to the log, whose empty fetches wait at least so long."""
    kafka = settings.kafka
    wait_ms = max(kafka.fetch_wait_ms or FETCH_WAIT_MS, at_least_ms)
    url, access = _url("kafka", kafka.url), kafka.security.access()
    reader = KafkaLogReader(url, topic, group, fetch_wait_ms=wait_ms, access=access)
    await reader.start()
    return reader


async def open_admin(settings: Settings) -> KafkaLogAdmin:
    """Connect an administrator to the log."""
    kafka = settings.kafka
    admin = KafkaLogAdmin(_url("kafka", kafka.url), replicas=kafka.replicas, access=kafka.security.access())
    await admin.start()
    return admin


def node_certificate(settings: Settings) -> NodeCertificate | None:
    """Return this node's certificate for connections between nodes, None if it has none.

    Raises:
        RoostError: It cannot be used.
    """
    files = settings.node.files
    if files is None:
        return None
    try:
        return NodeCertificate(*files)
    except OSError as exc:
        raise RoostError(
            "internal", f"The node's certificate cannot be used ({exc}): see what `roost doctor` says."
        ) from exc


def _url(server: str, url: str | None) -> str:
    if url is None:
        raise RoostError("internal", f"A role was started without an address of {server}.")
    return url
