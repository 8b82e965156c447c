"""A load in numbers."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.load import Load, Span
from benchmarks.usage import Cost


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the highest; nothing of nothing."""
    if not values:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}
    return {name: round(value, 2) for name, value in named.items()}


def figures(load: Load, span: Span, cost: Cost, *, written: bool = False) -> dict[str, Any]:
    """Return what a load did in a span.

    Args:
        load: The load.
        span: When.
        cost: What processes used meanwhile.
        written: Latency counts from when the generator wrote a message, not from when it was due.
    """
    ledger, counts = load.ledger, load.counts
    at = (span.begin_ns, span.end_ns)
    delivered = ledger.delivered_in(*at)
    return {
        "users": len(load.people),
        "pairs": len(load.pairs),
        "seconds": round(span.seconds, 1),
        "due": ledger.due_in(*at),
        "accepted_per_s": round(ledger.accepted_in(*at) / span.seconds),
        "delivered_per_s": round(delivered / span.seconds),
        "send_accept_ms": percentiles(ledger.accept_ms(*at, written=written)),
        "send_deliver_ms": percentiles(ledger.deliver_ms(*at, written=written)),
        "generator_lag_ms": percentiles(ledger.lag_ms(*at)),
        "receipts": counts.receipts,
        "acks": counts.acks,
        "refused": ledger.refused,
        "refusals": dict(counts.refusals),
        "retry_after_s": percentiles(counts.retry_after_s),
        "refusals_without_time": counts.untimed,
        "withheld": counts.withheld,
        "not_offered": load.not_offered,
        "sent_again": counts.repeated,
        "reconnects": counts.reconnects,
        "problems": dict(counts.problems),
        "series": series(load, span),
    } | cost.figures(delivered)


def series(load: Load, span: Span) -> dict[str, list[float | None]]:
    """Return each second of a span: what was accepted and delivered, and how long what was due took."""
    found: dict[str, list[float | None]] = {"accepted": [], "delivered": [], "p50_ms": [], "p99_ms": []}
    for second in range(int(span.seconds)):
        begin = span.begin_ns + second * 1_000_000_000
        at = (begin, begin + 1_000_000_000)
        took = percentiles(load.ledger.deliver_ms(*at))
        found["accepted"].append(load.ledger.accepted_in(*at))
        found["delivered"].append(load.ledger.delivered_in(*at))
        found["p50_ms"].append(took.get("p50"))
        found["p99_ms"].append(took.get("p99"))
    return found


def judged(load: Load) -> dict[str, Any]:
    """Return what the ledger says by now."""
    ledger = load.ledger
    return {
        "sent": ledger.sent,
        "accepted": ledger.accepted,
        "delivered": ledger.delivered,
        "unanswered": ledger.unanswered,
        "audited": ledger.audited,
        "ledger": ledger.violations(),
        "examples": ledger.examples,
    }


def keep(result: dict[str, Any], file: Path | None) -> None:
    """Write figures to the file, or to stdout."""
    text = json.dumps(result, indent=1)
    if file is None:
        print(text)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
        print(f"the figures are in {file}", file=sys.stderr)
