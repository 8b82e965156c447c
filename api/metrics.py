"""The gateway's metrics, declared once, each with its help text; labels come from closed sets."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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

    def set(self, name: str, text: str, value: float) -> None:
        """Set a gauge that is read from its owner when somebody looks."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(name, text, registry=self.registry)
        gauge.set(value)

    def text(self) -> bytes:
        """Return everything in Prometheus text format."""
        return generate_latest(self.registry)
