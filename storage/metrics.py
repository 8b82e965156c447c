"""Every metric of the servers below the front door, declared once with its help text.

Names are ``roost_<noun>_<unit>_<suffix>``; labels come from closed sets, never from user ids. A
process counts for itself, and its role says which process it is when it is scraped.
"""

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

_BATCH = (1, 4, 16, 64, 256, 1024, 4096)

ACTIVE_USERS = Gauge("roost_active_users_count", "User actors in this host's memory.")
ATTACHED_STREAMS = Gauge("roost_attached_streams_count", "Streams attached at this host.")
ACTIVATIONS = Counter("roost_actor_activations", "User actors loaded from Redis or MongoDB.")
PASSIVATIONS = Counter("roost_actor_passivations", "User actors let go because nobody needed them.")
HOST_BATCH_RECORDS = Histogram(
    "roost_host_batch_records", "Records of one batch from a router.", buckets=_BATCH
)
STORE_BATCH_DOCUMENTS = Histogram(
    "roost_store_batch_documents", "Documents of one write to MongoDB.", buckets=_BATCH
)
DELIVERY_SECONDS = Histogram(
    "roost_delivery_latency_seconds",
    "From the gateway's acceptance of a message to its delivery to a stream.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
POISON_RECORDS = Counter("roost_poison_records", "Records that could not be handled and were buried.")
MISSED_ENTRIES = Counter("roost_missed_reads", "Reads that found entries of their range gone.")
WAKEUPS = Counter("roost_wakeups", "Wake-ups by outcome.", ["outcome"])
ROUTER_BATCH_RECORDS = Histogram(
    "roost_router_batch_records", "Records of one poll of the log.", buckets=_BATCH
)
LOG_LAG = Gauge("roost_log_lag_records", "Records of this process's partitions that are not stored yet.")


def exposition() -> bytes:
    """Return this process's metrics in Prometheus text format."""
    return generate_latest(REGISTRY)
