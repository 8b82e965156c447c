"""One message is one trace over all roles, as a collector sees it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from roost import client as sdk
from telemetry.traces import ACCEPT, DELIVER, HAND_OVER, PUSH, STORE
from tests.live.app import App
from tests.live.running import System
from tests.live.waiting import until

pytestmark = pytest.mark.timeout(180)

WAY = {
    ACCEPT: "roost-gateway",
    HAND_OVER: "roost-router",
    DELIVER: "roost-host",
    STORE: "roost-host",
    PUSH: "roost-pusher",
}


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: dict[str, list[tuple[str, Any]]] = defaultdict(list)

    async def take(self, request: web.Request) -> web.Response:
        said = ExportTraceServiceRequest.FromString(await request.read())
        for each in said.resource_spans:
            names = {pair.key: pair.value.string_value for pair in each.resource.attributes}
            for scope in each.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id.hex()].append((names["service.name"], span))
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    def steps(self, message: str) -> dict[str, str]:
        """Return which role did which step of the message."""
        return {span.name: service for service, span in self.spans[message.replace("-", "")]}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    collector.url = f"http://127.0.0.1:{port}/v1/traces"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def test_a_message_is_one_trace_over_all_roles(own_system: Callable[..., System]) -> None:
    async with collecting() as collector, sdk.connections() as http:
        system = await own_system(env={"ROOST_TELEMETRY__TRACES_URL": collector.url}).started()
        ann, ben = App(system.http, "trace.ann", http), App(system.http, "trace.ben", http)
        await asyncio.gather(ann.join(), ben.join())
        await ben.call("PUT", "/v1/devices/current/push", {"provider": "fcm", "token": "phone-of-trace-ben"})
        await ben.leave()
        await ann.client.send("trace.ben", "who sees this on its way?")
        await ann.gets(lambda: ann.all(sdk.Accepted), "the acceptance")
        message = ann.all(sdk.Accepted)[0].id
        await until(lambda: _missing(collector, message), within=30)
        await ann.leave()
        await asyncio.to_thread(system.stop)

    assert collector.steps(message) == WAY
    spans = {span.name: span for _, span in collector.spans[message.replace("-", "")]}
    assert len(spans) == len(collector.spans[message.replace("-", "")])
    root = spans[ACCEPT]
    assert root.parent_span_id == b""
    assert {span.parent_span_id for name, span in spans.items() if name != ACCEPT} == {root.span_id}
    assert len({span.span_id for span in spans.values()}) == len(WAY)
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    order = [spans[step].end_time_unix_nano for step in (HAND_OVER, DELIVER, STORE)]
    assert order == sorted(order)
    assert b"who sees this" not in b"".join(span.SerializeToString() for span in spans.values())
    assert b"trace." not in b"".join(span.SerializeToString() for span in spans.values())


def _missing(collector: Collector, message: str) -> str:
    steps = collector.steps(message)
    return "" if steps.keys() >= WAY.keys() else f"only {steps}"
