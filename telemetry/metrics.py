"""All metrics of the roles, declared once, each with its help text; what HTTP itself counts is in ``api``.

Names are ``roost_<noun>_<unit>_<suffix>``; seconds and bytes are the units. Labels come from closed sets,
never from users; ``role`` and ``name`` are not among them, because `telemetry.exporter` adds those two. A
role shows the registries of what it has, so that none counts what another role does.
"""

from importlib.metadata import version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]

_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_QUICK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

# --- every process --------------------------------------------------------------------------------

PROCESS: Final = CollectorRegistry()
ProcessCollector(registry=PROCESS)
Info("roost_build", "Version of Roost in this process.", registry=PROCESS).info({"version": version("roost")})

# --- who writes to the log: gateways, hosts, pushers -----------------------------------------------

WRITER: Final = CollectorRegistry()
LOG_APPEND_RECORDS: Final = Histogram(
    "roost_log_append_records", "Records of one batch written to the log.", buckets=_RECORDS, registry=WRITER
)
LOG_APPEND_SECONDS: Final = Histogram(
    "roost_log_append_seconds",
    "Time from handing a batch to the log to its acknowledgement.",
    buckets=_QUICK_S,
    registry=WRITER,
)

# --- who reads the log: routers, pushers ------------------------------------------------------------

READER: Final = CollectorRegistry()
LOG_LAG: Final = Gauge(
    "roost_log_lag_records",
    "Records of this shard's partition that are in the log and not finished: not stored yet, for mailbox.",
    ["topic", "shard"],
    registry=READER,
)

# --- gateways ---------------------------------------------------------------------------------------

GATEWAY: Final = CollectorRegistry()
ACCEPT_SECONDS: Final = Histogram(
    "roost_accept_seconds",
    "Time from an accepted message's arrival at the gateway to its number, over HTTP and WebSocket.",
    buckets=_QUICK_S,
    registry=GATEWAY,
)

# --- hosts ------------------------------------------------------------------------------------------

HOST: Final = CollectorRegistry()
ACTIVE_USERS: Final = Gauge("roost_users_active", "User actors in this host.", registry=HOST)
ATTACHED_STREAMS: Final = Gauge("roost_streams_attached", "Streams of devices at this host.", registry=HOST)
ACTIVATIONS: Final = Counter("roost_actor_activations_total", "User actors loaded.", registry=HOST)
ACTIVATION_SECONDS: Final = Histogram(
    "roost_actor_activation_seconds", "Time that one load of actors took.", buckets=_SECONDS, registry=HOST
)
PASSIVATIONS: Final = Counter("roost_actor_passivations_total", "Idle user actors let go.", registry=HOST)
HOST_BATCH_RECORDS: Final = Histogram(
    "roost_host_batch_records", "Records in one batch from a router.", buckets=_RECORDS, registry=HOST
)
STORE_BATCH_DOCUMENTS: Final = Histogram(
    "roost_store_batch_documents", "Documents of one write to MongoDB.", buckets=_RECORDS, registry=HOST
)
STORE_WRITE_SECONDS: Final = Histogram(
    "roost_store_write_seconds", "Time that one write of documents took.", buckets=_SECONDS, registry=HOST
)
WRITES_WAITING: Final = Gauge(
    "roost_writes_waiting", "Writes of this host that are queued or in progress.", ["queue"], registry=HOST
)
UNHANDLED: Final = Gauge(
    "roost_host_unhandled_records", "Records at this host that no actor has handled.", registry=HOST
)
UNSTORED: Final = Gauge(
    "roost_host_unstored_records", "Records at this host that are not stored.", registry=HOST
)
UNSTORED_BYTES: Final = Gauge(
    "roost_host_unstored_bytes", "Bytes of the batches at this host that are not stored.", registry=HOST
)
OLDEST_UNSTORED: Final = Gauge(
    "roost_host_unstored_oldest_seconds",
    "Time since the oldest record came to this host that is not stored.",
    registry=HOST,
)
DELIVERY_SECONDS: Final = Histogram(
    "roost_delivery_seconds",
    "Time from an entry's acceptance to its leaving the host for a device that is attached.",
    ["entry"],
    buckets=_SECONDS,
    registry=HOST,
)
DRAIN_SECONDS: Final = Histogram(
    "roost_mailbox_drain_seconds",
    "Time from attaching a stream to the end of its backlog.",
    buckets=_SECONDS,
    registry=HOST,
)
UNACKNOWLEDGED: Final = Gauge(
    "roost_entries_unacknowledged", "Entries sent to attached devices and not acknowledged.", registry=HOST
)
OLDEST_UNACKNOWLEDGED: Final = Gauge(
    "roost_entries_unacknowledged_oldest_seconds",
    "Longest time that an attached device has entries and acknowledges none.",
    registry=HOST,
)
REDELIVERIES: Final = Counter(
    "roost_redeliveries_total",
    "Streams that began with an entry which the same device had been sent before and not acknowledged.",
    registry=HOST,
)
REDELIVERY_LOOPS: Final = Counter(
    "roost_redelivery_loops_total",
    "Devices that were sent the same first entry on five streams in a row: their client may die of it.",
    registry=HOST,
)
FETCHED_SECONDS: Final = Histogram(
    "roost_wakeup_fetched_seconds",
    "Time from a wake-up's sending to its device's coming, for those that came within ten minutes.",
    buckets=_SECONDS,
    registry=HOST,
)
POISON_RECORDS: Final = Counter(
    "roost_poison_records_total", "Records that could not be handled and were buried.", registry=HOST
)
MISSED_ENTRIES: Final = Counter(
    "roost_missed_streams_total",
    "Streams told that entries after their cursor were trimmed.",
    registry=HOST,
)

SWEPT_ENTRIES: Final = Counter(
    "roost_swept_entries_total", "Entries of mailboxes deleted for their age or number.", registry=HOST
)
EXPIRED_ENTRIES: Final = Counter(
    "roost_expired_entries_total", "Entries whose content was removed as their senders wanted.", registry=HOST
)

# --- routers ----------------------------------------------------------------------------------------

ROUTER: Final = CollectorRegistry()
ROUTER_BATCH_RECORDS: Final = Histogram(
    "roost_router_batch_records", "Records of one poll of the log.", buckets=_RECORDS, registry=ROUTER
)

# --- pushers ----------------------------------------------------------------------------------------

PUSHER: Final = CollectorRegistry()
WAKEUPS: Final = Counter(
    "roost_wakeups_total",
    "Wake-ups by what became of them: sent, pending (one was), came (acknowledged while it was held), "
    "no_token, unregistered, dead.",
    ["outcome"],
    registry=PUSHER,
)
WAKEUP_RETRIES: Final = Counter("roost_wakeup_retries_total", "Wake-ups tried again.", registry=PUSHER)
PUSH_ANSWERS: Final = Counter(
    "roost_push_answers_total",
    "Answers of push services, by provider (fcm, webpush) and what they mean: sent, unregistered, again, "
    "refused.",
    ["provider", "answer"],
    registry=PUSHER,
)
WAKEUP_SECONDS: Final = Histogram(
    "roost_wakeup_delay_seconds",
    "Time from a wake-up's cause to the provider's answer.",
    buckets=_SECONDS,
    registry=PUSHER,
)
WAKEUPS_OPEN: Final = Gauge("roost_wakeups_open", "Wake-ups read and not finished.", registry=PUSHER)

# --- coordinator ------------------------------------------------------------------------------------

COORDINATOR: Final = CollectorRegistry()
MAP_VERSION: Final = Gauge("roost_map_version", "Version of the map in force.", registry=COORDINATOR)
MAP_MOVES: Final = Counter(
    "roost_map_moves_total", "Shards that changed their place.", ["kind"], registry=COORDINATOR
)
ROLE_INCARNATIONS: Final = Counter(
    "roost_role_incarnations_total", "Processes that started as a role.", ["kind"], registry=COORDINATOR
)
ROLES_UNHEALTHY: Final = Counter(
    "roost_roles_unhealthy_total",
    "Processes ended because an essential task of their role had failed.",
    ["kind"],
    registry=COORDINATOR,
)
ROLES_AWAY: Final = Gauge("roost_roles_away", "Roles that do not answer.", ["kind"], registry=COORDINATOR)
LOG_RECREATIONS: Final = Counter(
    "roost_log_recreations_total",
    "Times the log was recreated: full (drained before) or lost.",
    ["reason"],
    registry=COORDINATOR,
)
LOG_DROPPED_RECORDS: Final = Counter(
    "roost_log_dropped_records_total",
    "Records that the log's retention removed before they were known to be stored.",
    registry=COORDINATOR,
)

# A sample that is there before it first counts shows its first count as a rise.
for _label in ("sent", "pending", "came", "no_token", "unregistered", "dead"):
    WAKEUPS.labels(_label)
for _label in ("sent", "unregistered", "again", "refused"):
    for _provider in ("fcm", "webpush"):
        PUSH_ANSWERS.labels(_provider, _label)
for _label in ("host", "router", "pusher"):
    MAP_MOVES.labels(_label)
for _label in ("gateway", "host", "router", "pusher"):
    ROLES_UNHEALTHY.labels(_label)
for _label in ("full", "lost"):
    LOG_RECREATIONS.labels(_label)
for _label in ("message", "receipt", "keys", "sent"):
    DELIVERY_SECONDS.labels(_label)


def exposition(*registries: CollectorRegistry) -> bytes:
    """Return what this process and these registries count, in Prometheus text format."""
    return b"".join(generate_latest(each) for each in (PROCESS, *registries))


def show_lag(topic: str, lags: dict[int, int]) -> None:
    """Show the lag in records of each shard that is read here, and of no other.

    Args:
        topic: ``mailbox`` or ``push``.
        lags: Records by shard.
    """
    LOG_LAG.clear()
    for shard, lag in lags.items():
        LOG_LAG.labels(topic, str(shard)).set(lag)
