"""Steps of a message: timed where they happen, sampled alike by every role, free when no collector is set."""

import subprocess
import sys
from random import Random
from uuid import UUID

import pytest

from roost.ids import uuid7
from telemetry import traces
from telemetry.traces import Span, Tracer, root_of

CAUSE = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        self.now += 5
        return self.now


def test_a_step_is_a_span_of_its_messages_trace() -> None:
    sent: list[Span] = []
    tracer = Tracer(sent.append, clock=Clock())
    tracer.begin("store", ("u", 7))
    tracer.begin("store", ("u", 8))
    tracer.end("store", ("u", 7), CAUSE, documents=2)
    number = UUID(CAUSE).int
    assert sent == [Span("store", number, root_of(number), 1_005, 1_015, {"documents": 2})]
    assert f"{sent[0].trace:032x}" == CAUSE.replace("-", "")


def test_a_step_ends_once_and_only_if_it_began() -> None:
    sent: list[Span] = []
    tracer = Tracer(sent.append)
    tracer.end("store", 1, CAUSE)
    tracer.begin("store", 1)
    tracer.end("deliver", 1, CAUSE)
    assert sent == []
    tracer.end("store", 1, CAUSE)
    tracer.end("store", 1, CAUSE)
    assert len(sent) == 1


@pytest.mark.parametrize("cause", ["", "nonsense", "keys:ABC"])
def test_only_messages_have_traces(cause: str) -> None:
    sent: list[Span] = []
    Tracer(sent.append).span("push", cause, 0)
    assert sent == []


def test_every_role_chooses_the_same_share() -> None:
    random = Random(7)
    causes = [uuid7(1_700_000_000_000 + n, random.randbytes(10)) for n in range(2_000)]
    roles: list[list[Span]] = [[], []]
    for role in roles:
        tracer = Tracer(role.append, share=0.25)
        for cause in causes:
            tracer.span("accept", cause, 0)
    assert [each.trace for each in roles[0]] == [each.trace for each in roles[1]]
    assert 350 < len(roles[0]) < 650
    assert root_of(1) == root_of(1) != root_of(2)


def test_steps_that_never_end_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_OPEN", 3)
    sent: list[Span] = []
    tracer = Tracer(sent.append)
    for key in range(5):
        tracer.begin("accept", key)
    for key in range(5):
        tracer.end("accept", key, CAUSE, number=key)
    assert [each.attributes["number"] for each in sent] == [2, 3, 4]


def test_no_exporter_is_loaded_without_a_collector() -> None:
    # The SDK itself is no sign: redis loads it where it is installed.
    roles = (
        "import sys, api.gateway, actors.host, cluster.consumers.router, cluster.consumers.pusher, "
        "cluster.wiring"
    )
    check = "sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", f"{roles}; {check}"], check=False).returncode == 0
    assert traces.tracer is None
