"""All metrics of the roles behind the front door, declared once, each with its help text.

Names are ``roost_<noun>_<unit>_<suffix>``; labels come from closed sets, never from users. One
registry for a process, since a role is a process.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

# --- hosts ----------------------------------------------------------------------------------------

ACTIVE_USERS: Final = Gauge("roost_users_active", "User actors in this host.", registry=REGISTRY)
ATTACHED_STREAMS: Final = Gauge(
    "roost_streams_attached", "Streams of devices at this host.", registry=REGISTRY
)
ACTIVATIONS: Final = Counter("roost_actor_activations_total", "User actors loaded.", registry=REGISTRY)
PASSIVATIONS: Final = Counter("roost_actor_passivations_total", "Idle user actors let go.", registry=REGISTRY)
HOST_BATCH_RECORDS: Final = Histogram(
    "roost_host_batch_records", "Records in one batch from a router.", buckets=_RECORDS, registry=REGISTRY
)
STORE_BATCH_DOCUMENTS: Final = Histogram(
    "roost_store_batch_documents", "Documents of one write to MongoDB.", buckets=_RECORDS, registry=REGISTRY
)
POISON_RECORDS: Final = Counter(
    "roost_poison_records_total", "Records that could not be handled and were buried.", registry=REGISTRY
)
MISSED_ENTRIES: Final = Counter(
    "roost_missed_streams_total",
    "Streams told that entries after their cursor were trimmed.",
    registry=REGISTRY,
)

# --- routers --------------------------------------------------------------------------------------

ROUTER_BATCH_RECORDS: Final = Histogram(
    "roost_router_batch_records", "Records of one poll of the log.", buckets=_RECORDS, registry=REGISTRY
)
LOG_LAG: Final = Gauge(
    "roost_log_lag_records", "Records in the log that are not in the stores yet.", registry=REGISTRY
)

# --- pushers --------------------------------------------------------------------------------------

WAKEUPS: Final = Counter(
    "roost_wakeups_total",
    "Wake-ups by what became of them: sent, pending (one was), no_token, unregistered, dead.",
    ["outcome"],
    registry=REGISTRY,
)
WAKEUP_RETRIES: Final = Counter("roost_wakeup_retries_total", "Wake-ups tried again.", registry=REGISTRY)
WAKEUP_SECONDS: Final = Histogram(
    "roost_wakeup_delay_seconds",
    "Time from a wake-up's cause to the provider's answer.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
WAKEUPS_OPEN: Final = Gauge("roost_wakeups_open", "Wake-ups read and not finished.", registry=REGISTRY)

# --- coordinator ----------------------------------------------------------------------------------

MAP_VERSION: Final = Gauge("roost_map_version", "Version of the map in force.", registry=REGISTRY)
MAP_MOVES: Final = Counter(
    "roost_map_moves_total", "Shards that changed their place.", ["role"], registry=REGISTRY
)
ROLE_LIVES: Final = Counter(
    "roost_role_lives_total", "Processes that came to life.", ["role"], registry=REGISTRY
)
ROLES_AWAY: Final = Gauge("roost_roles_away", "Roles that do not answer.", ["role"], registry=REGISTRY)
LOG_RECREATIONS: Final = Counter(
    "roost_log_recreations_total",
    "Times the log was made anew: full (drained before) or lost.",
    ["reason"],
    registry=REGISTRY,
)
LOG_DROPPED_RECORDS: Final = Counter(
    "roost_log_dropped_records_total",
    "Records that the log's retention removed before they were known to be stored.",
    registry=REGISTRY,
)


def exposition() -> bytes:
    """Return everything in Prometheus text format."""
    return generate_latest(REGISTRY)
