"""A collector of traces that takes OTLP over HTTP, in a thread of its own."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Collector:
    """What it took.

    Attributes:
        url: Where exporters find it.
        spans: By trace, each with the name of its service.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: dict[str, list[tuple[str, Any]]] = defaultdict(list)

    def take(self, body: bytes) -> None:
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in each.resource.attributes}
            for scope in each.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id.hex()].append((names["service.name"], span))

    def steps(self, message: str) -> dict[str, str]:
        """Return which role did which step of the message."""
        return {span.name: service for service, span in self.spans[message.replace("-", "")]}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector
        server.shutdown()
