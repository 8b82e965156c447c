"""A run in numbers: what is handed to other programs as JSON, and to the page."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct, field

from sim.checker.verdict import Samples, Verdict
from sim.report.recovery import Fault, recoveries

HARNESS = "harness"
"""The role under which the harness's own processes are measured."""


class Usage(Struct, frozen=True):
    """What a role used at a time, all its processes together.

    Attributes:
        at_us: When, on the ledger's clock.
        role: ``gateway``, ``host`` and so on, or `HARNESS`.
        cpu_s: Processor time since its processes began; it falls when one is replaced.
        rss_mb: Resident memory.
    """

    at_us: int
    role: str
    cpu_s: float
    rss_mb: float


class RunInfo(Struct, kw_only=True):
    """What the runner knows of a run beside its ledger.

    Attributes:
        seed: Of all that was drawn at random.
        users: Virtual users.
        command: What to type to do it again.
        environment: What it ran on, in words: name to value.
        started_us: When the first message could be sent, on the ledger's clock.
        ended_us: When the last message could be sent.
        date: When it was, for people.
        usage: What roles used, measured from time to time.
        faults: What struck.
        messages_per_s: Messages delivered for each second; None: from the ledger, until the last delivery.
        server_cpu_s_per_1000: Processor time of all servers for 1,000 messages; None: from `usage`.
        remarks: Sentences that the reader must know, e.g. what this system cannot survive.
    """

    seed: int
    users: int
    command: str
    started_us: int
    ended_us: int
    date: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    usage: list[Usage] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    messages_per_s: float | None = None
    server_cpu_s_per_1000: float | None = None
    remarks: list[str] = field(default_factory=list)


def figures(verdict: Verdict, run: RunInfo) -> dict[str, Any]:
    """Return the figures of a run, ready to be encoded as JSON."""
    totals = msgspec.structs.asdict(verdict.totals)
    return {
        "verdict": verdict.word,
        "seed": run.seed,
        "users": run.users,
        "command": run.command,
        **totals,
        **verdict.counts,
        "unverified": verdict.unverified,
        "latency_ms": {
            "send_accept": _milliseconds(verdict.send_accept),
            "send_deliver": _milliseconds(verdict.send_deliver),
            "deliver_receipt": _milliseconds(verdict.deliver_receipt),
        },
        "duration_s": round((run.ended_us - run.started_us) / 1e6, 3),
        "messages_per_s": _rounded(_messages_per_s(verdict, run)),
        "server_cpu_s_per_1000": _rounded(_cpu_s_per_1000(verdict, run)),
        "memory_mb": {role: round(max(each.rss_mb for each in used), 1) for role, used in roles(run).items()},
        "faults": list(_faults(verdict, run)),
        "remarks": run.remarks,
        "environment": run.environment,
        "date": run.date,
        "events": verdict.events,
    }


def roles(run: RunInfo) -> dict[str, list[Usage]]:
    """Return what each role used, in the order of time; the harness comes last."""
    found: dict[str, list[Usage]] = defaultdict(list)
    for each in sorted(run.usage, key=lambda each: (each.role == HARNESS, each.role, each.at_us)):
        found[each.role].append(each)
    return dict(found)


def cpu_s(used: Iterable[Usage]) -> float:
    """Return the processor time that a role used from its first measurement to its last.

    A process that was killed takes its time with it: only what was added between two measurements counts.
    """
    times = [each.cpu_s for each in used]
    return sum(max(0.0, after - before) for before, after in pairwise(times))


def _milliseconds(samples: Samples) -> dict[str, float | None]:
    return {name: _rounded(value) for name, value in msgspec.structs.asdict(samples.percentiles()).items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _messages_per_s(verdict: Verdict, run: RunInfo) -> float | None:
    if run.messages_per_s is not None:
        return run.messages_per_s
    sent = verdict.send_deliver
    # Until the last delivery: what had to be caught up after the sending was not carried during it.
    last_us = max((at + took for at, took in zip(sent.at_us, sent.took_us, strict=True)), default=0)
    span_us = max(last_us, run.ended_us) - run.started_us
    return verdict.totals.delivered / (span_us / 1e6) if span_us > 0 else None


def _cpu_s_per_1000(verdict: Verdict, run: RunInfo) -> float | None:
    if run.server_cpu_s_per_1000 is not None:
        return run.server_cpu_s_per_1000
    used = [cpu_s(each) for role, each in roles(run).items() if role != HARNESS]
    return sum(used) * 1_000 / verdict.totals.delivered if used and verdict.totals.delivered else None


def _faults(verdict: Verdict, run: RunInfo) -> Iterable[dict[str, Any]]:
    times = recoveries(verdict.send_deliver, run.faults, run.ended_us)
    for fault, recovery_s in sorted(zip(run.faults, times, strict=True), key=lambda each: each[0].begins_us):
        yield {
            "name": fault.name,
            "target": fault.target,
            "begins_s": round((fault.begins_us - run.started_us) / 1e6, 3),
            "ends_s": round((fault.ends_us - run.started_us) / 1e6, 3),
            "recovery_s": _rounded(recovery_s),
        }
