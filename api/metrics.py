"""What a gateway counts about HTTP, declared once, each with its help text; labels come from closed sets."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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
        self._gauges: dict[str, Gauge] = {}
        self._totals = _Totals()
        self.registry.register(self._totals)

    def set(self, name: str, text: str, value: float) -> None:
        """Set a gauge that is read from its owner when somebody looks."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, text, registry=self.registry)
        gauge.set(value)

    def total(self, name: str, text: str, value: float) -> None:
        """Show what its owner has counted since the start; the name ends in ``_total``."""
        family = CounterMetricFamily(name, text)
        family.add_metric([], value)
        self._totals.families[name] = family

    def totals(self, name: str, text: str, label: str, values: Mapping[str, float]) -> None:
        """Show the same for each value of a label."""
        family = CounterMetricFamily(name, text, labels=[label])
        for each, value in values.items():
            family.add_metric([each], value)
        self._totals.families[name] = family

    def text(self) -> bytes:
        """Return everything in Prometheus text format."""
        return generate_latest(self.registry)


class _Totals(Collector):
    """Counts that are kept elsewhere."""

    def __init__(self) -> None:
        self.families: dict[str, CounterMetricFamily] = {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield from self.families.values()
