"""One message is one trace over all roles, as a collector sees it."""

import asyncio

import pytest

from roost import client as sdk
from telemetry.traces import ACCEPT, DELIVER, HAND_OVER, PUSH, STORE
from tests.live.app import App
from tests.live.collector import Collector
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


async def test_a_message_is_one_trace_over_all_roles(watched: System, collector: Collector) -> None:
    async with sdk.connections() as http:
        ann, ben = App(watched.http, "trace.ann", http), App(watched.http, "trace.ben", http)
        await asyncio.gather(ann.join(), ben.join())
        await ben.call("PUT", "/v1/devices/current/push", {"provider": "fcm", "token": "phone-of-trace-ben"})
        await ben.leave()
        await ann.client.send("trace.ben", "who sees this on its way?")
        await ann.gets(lambda: ann.all(sdk.Accepted), "the acceptance")
        message = ann.all(sdk.Accepted)[0].id
        await until(lambda: _missing(collector, message), within=30)
        await ann.leave()

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
