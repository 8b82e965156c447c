"""Sends the steps of messages (`telemetry.traces`) to a collector, by OTLP over HTTP.

OpenTelemetry is known here only, and loaded only when there is somewhere to send to.
"""

from importlib.metadata import version
from importlib.util import find_spec

from roost.errors import RoostError
from telemetry import traces

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"
SPANS_EVERY_MS = 1_000
"""How long spans are collected before they are sent, in a thread of its own."""


NO_TRACES = "ROOST_TELEMETRY__TRACES_URL is set; what it needs is not installed: pip install 'roost[otel]'."


def can_trace() -> bool:
    """Return whether OpenTelemetry's SDK and exporter are installed."""
    try:
        return find_spec("opentelemetry.sdk") is not None and find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:  # a package above it is not there either
        return False


def trace(url: str, share: float, role: str, name: str) -> None:
    """Send the steps of messages to a collector from now on; what it does not take is dropped.

    Args:
        url: Where OTLP over HTTP is taken.
        share: Share of the messages.
        role: Role of this process.
        name: Its name.

    Raises:
        RoostError: OpenTelemetry is not installed.
    """
    if not can_trace():
        raise RoostError("internal", NO_TRACES)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- as said
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- likewise
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 -- likewise
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- likewise
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415 -- likewise
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 -- likewise

    resource = Resource(
        {"service.name": f"roost-{role}", "service.instance.id": name, "service.version": version("roost")}
    )
    sender = BatchSpanProcessor(OTLPSpanExporter(endpoint=url), schedule_delay_millis=SPANS_EVERY_MS)
    numbers = RandomIdGenerator()
    sampled = TraceFlags(TraceFlags.SAMPLED)

    def send(span: traces.Span) -> None:
        root = SpanContext(span.trace, span.root, is_remote=True, trace_flags=sampled)
        first = span.step == traces.ACCEPT
        own = SpanContext(span.trace, numbers.generate_span_id(), is_remote=False, trace_flags=sampled)
        sender.on_end(
            ReadableSpan(
                name=span.step,
                context=root if first else own,
                parent=None if first else root,
                resource=resource,
                attributes=span.attributes,
                start_time=span.began_ns,
                end_time=span.ended_ns,
            )
        )

    traces.tracer = traces.Tracer(send, share)
