"""A gateway's metrics, declared once, each with its help text; labels come from closed sets.

Two are counted here, request by request. All others are kept by the part that knows them, and read from it
when they are scraped (`api.exposition`).
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Kept(NamedTuple):
    """A metric whose value is kept elsewhere; a counter if its name ends in ``_total``, else a gauge.

    Attributes:
        name: Name.
        text: Help.
        label: Label whose values are counted apart, None for one value.
    """

    name: str
    text: str
    label: str | None = None


STREAMS_OPEN: Final = Kept("roost_streams_open", "WebSocket streams open now.")
STREAMS_OPENED: Final = Kept("roost_streams_opened_total", "WebSocket streams opened.")
STREAMS_ENDED: Final = Kept(
    "roost_streams_ended_total",
    "Streams that the gateway ended, by code: displaced, too_slow, revoked and the like.",
    "code",
)
STREAMS_REATTACHED: Final = Kept("roost_streams_reattached_total", "Streams attached again after a move.")
MESSAGES_ACCEPTED: Final = Kept("roost_messages_accepted_total", "Messages answered with a number.")
SENDS_REFUSED: Final = Kept(
    "roost_sends_refused_total",
    "Sends refused because there was more to do than could be done, or the log did not take them.",
    "reason",
)
SENDS_OPEN: Final = Kept("roost_sends_open", "Sends without an answer.")
SENDS_OPEN_BYTES: Final = Kept("roost_sends_open_bytes", "Bytes of the sends without an answer.")
SENDS_OLDEST: Final = Kept("roost_sends_oldest_seconds", "Time that the oldest send waits for its round.")
ACCEPT_WAIT: Final = Kept("roost_accept_wait_seconds", "Expected time of a new send to its number.")
DELIVER_WAIT: Final = Kept(
    "roost_deliver_wait_seconds",
    "Expected time of a new record from the log to its actor, on the slowest shard.",
)
ACCEPT_CACHE_FAILURES: Final = Kept("roost_accept_cache_failures_total", "Sends that went on without Redis.")
COPIES_LOST: Final = Kept("roost_copies_lost_total", "'sent' records for own devices given up.")
LOG_APPEND_FAILURES: Final = Kept("roost_log_append_failures_total", "Records that the log did not take.")
LOG_RESYNCS: Final = Kept("roost_log_resyncs_total", "Times the bases were read again.")
LIMITER_HITS: Final = Kept("roost_limiter_hits_total", "Times a limiter made a client wait.", "limiter")
LIMITS_LOCAL: Final = Kept("roost_limits_local_total", "Shared limiters that counted locally.")
KEY_CHANGES_LOST: Final = Kept("roost_key_changes_lost_total", "Announcements of key changes given up.")


class GatewayMetrics:
    """One registry for each gateway, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "roost_http_requests_total",
            "HTTP requests answered.",
            ["method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "roost_http_request_seconds",
            "Time from a request's head to the end of its answer; long polls wait in here.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def text(self, kept: Mapping[Kept, float | Mapping[str, float]]) -> bytes:
        """Return everything in Prometheus text format.

        Args:
            kept: Value of each metric that is kept elsewhere; with a label, the values by the label's value.
        """
        values = CollectorRegistry()
        values.register(_Values(kept))
        return generate_latest(self.registry) + generate_latest(values)


class _Values(Collector):
    """Shows values that are kept elsewhere."""

    def __init__(self, kept: Mapping[Kept, float | Mapping[str, float]]) -> None:
        self._kept = kept

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        for metric, value in self._kept.items():
            kind = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
            family = kind(metric.name, metric.text, labels=[metric.label] if metric.label else None)
            rows = value.items() if isinstance(value, Mapping) else [(None, value)]
            for label, number in rows:
                family.add_metric([label] if label is not None else [], number)
            yield family
