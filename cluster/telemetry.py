"""What a process says about itself: log lines, one file for each role, or stderr; and traces, if asked for.

Metrics are declared in ``storage/metrics.py``, below everybody who counts, steps of a trace in
``storage/traces.py``. OpenTelemetry is known here only, and loaded only when there is somewhere to send to.
"""

import io
import logging
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from roost.errors import RoostError
from storage import traces

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_DRIVERS = '{"level": "%(levelname)s", "event": "driver_log", "logger": "%(name)s", "text": "%(message)s"}'


def configure(level: str, role: str, name: str, folder: Path | None) -> None:
    """Send every log line of this process to ``folder/NAME.log``, or to stderr without a folder.

    Tracebacks carry no local variables: a token or a body could be among them.
    """
    stream = sys.stderr if folder is None else _open(folder / f"{name}.log")
    structlog.configure(
        processors=[
            _bound(role, name),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Drivers log through the standard library: warnings and worse go to the same place.
    logging.basicConfig(
        stream=stream, level=max(_LEVELS[level], logging.WARNING), format=_DRIVERS, force=True
    )


_EXPORTER = "opentelemetry.exporter.otlp.proto.http"
SPANS_EVERY_MS = 1_000
"""How long spans are collected before they are sent, in a thread of its own."""


NO_TRACES = "ROOST_TELEMETRY__TRACES_URL is set; what it needs is not installed: pip install 'roost[otel]'."


def can_trace() -> bool:
    """Say whether OpenTelemetry's SDK and exporter are installed."""
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


def _bound(role: str, name: str) -> Processor:
    """Return what puts the role into every line, whichever task writes it."""

    def bind(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"role": role, "name": name, **event}

    return bind


class LogFile(io.TextIOBase):
    """Takes lines, also when the disk is full: whoever logs that has better to do than to fail at it.

    Lines that find no room are counted, and the number is written before the next line that does.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._dropped = 0

    def write(self, text: str) -> int:
        """Write it at once, or count it as dropped."""
        data = text.encode()
        if self._dropped:
            data = b'\n{"event": "log_lines_dropped", "lines": %d}\n' % self._dropped + data
        try:
            whole = self._file.write(data) == len(data)
        except OSError:
            whole = False
        self._dropped = 0 if whole else self._dropped + text.count("\n")
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast("TextIO", LogFile(path))
