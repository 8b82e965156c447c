"""The series of a run over its time: rates, durations and memory as lines of plots."""

from collections import Counter, defaultdict

import msgspec

from sim.checker.verdict import Samples, Verdict, percentiles
from sim.report.figures import RunInfo
from sim.report.plots import Band, Line, Plot, number

MOST_POINTS = 240
"""Points of a line: more would not be seen."""

LATENCY = (("p99", "s3"), ("p95", "s2"), ("p50", "s1"))
RATES = (("sent", "sent", "s2"), ("delivered", "delivered", "s1"))


def span_s(verdict: Verdict, run: RunInfo) -> float:
    """Return how long the time axis is: to the last event of a message, in seconds."""
    return max(1.0, (max(run.ended_us, verdict.ended_us) - run.started_us) / 1e6)


def bands(run: RunInfo) -> list[Band]:
    """Return the faults as bands, in the order of time."""
    found = [
        Band(
            f"{fault.name} {fault.target}".strip(),
            (fault.begins_us - run.started_us) / 1e6,
            (fault.ends_us - run.started_us) / 1e6,
        )
        for fault in run.faults
    ]
    return sorted(found, key=lambda band: band.begins_s)


def throughput(verdict: Verdict, run: RunInfo) -> Plot:
    """Return how many messages went in and came out."""
    until_s = span_s(verdict, run)
    width = _bucket_s(until_s)
    lines = []
    peaks = []
    for key, name, style in RATES:
        counts: Counter[int] = Counter()
        for second, count in verdict.per_second[key].items():
            counts[int((second - run.started_us / 1e6) // width)] += count
        # The last bucket may be a part of one only, and what began before the start is warming up.
        buckets = range(max(1, int(until_s // width)))
        points = [((bucket + 0.5) * width, counts[bucket] / width) for bucket in buckets]
        lines.append(Line(name, style, list(points)))
        peaks.append(f"at most {max(rate for _, rate in points):,.0f} {name}")
    description = f"Messages for each second over {until_s:.0f} s: {', '.join(peaks)}."
    return Plot("Messages per second", description, "/s", lines, bands(run), until_s)


def latency(verdict: Verdict, run: RunInfo) -> Plot:
    """Return how long messages took from the send to the recipient's app, by when they were sent."""
    until_s = span_s(verdict, run)
    width = _bucket_s(until_s)
    buckets = _buckets(verdict.send_deliver, run.started_us, width)
    last = max(buckets, default=0)
    known = {bucket: percentiles(took) for bucket, took in buckets.items()}
    lines = [
        Line(
            name,
            style,
            [
                ((bucket + 0.5) * width, getattr(known[bucket], name) if bucket in known else None)
                for bucket in range(last + 1)
            ],
        )
        for name, style in LATENCY
    ]
    whole = msgspec.structs.asdict(verdict.send_deliver.percentiles())
    overall = [f"{name} {number(value)} ms" for name, value in whole.items() if value is not None]
    description = (
        "Time from the send to the delivery, by when messages were sent, on a logarithmic scale."
        f" Overall: {', '.join(overall) or 'nothing came'}."
    )
    return Plot(
        "Latency from send to delivery", description, "ms", lines, bands(run), until_s, logarithmic=True
    )


def _bucket_s(until_s: float) -> int:
    return max(1, -(-int(until_s) // MOST_POINTS))


def _buckets(samples: Samples, started_us: int, width: int) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for at_us, took_us in zip(samples.at_us, samples.took_us, strict=True):
        found[max(0, (at_us - started_us) // (width * 1_000_000))].append(took_us)
    return found
