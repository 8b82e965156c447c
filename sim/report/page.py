"""A run as one self-contained HTML page: nothing is loaded from elsewhere, and no script runs."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from sim.checker.verdict import UNVERIFIED, VIOLATIONS, Story, Verdict
from sim.report.figures import HARNESS, RunInfo, Usage, cpu_s, figures, roles
from sim.report.html import document, section, table, td, th
from sim.report.plots import figure, number, sparkline
from sim.report.recovery import DEFINITION
from sim.report.series import bands, latency, span_s, throughput

TOTALS = {
    "sent": "messages handed to an SDK",
    "accepted": "messages whose sender was told that they are durable",
    "delivered": "messages that an app of the recipient was told",
    "acked": "messages that an app of the recipient has taken",
    "read": "messages that the recipient marked as read",
    "receipts": "receipts that senders were told",
    "pushes": "wake-ups that came to a device",
    "failed": "messages given up by their sender, with a reason",
    "crashes": "apps killed on purpose",
    "copies": "messages that another device of their sender was told",
}

OPEN = "on its way or unknown when the run ended: neither kept nor broken"

DURATIONS = {
    "send_accept": "send to accepted",
    "send_deliver": "send to delivery",
    "deliver_receipt": "delivery to receipt",
}


def page(verdict: Verdict, run: RunInfo, found: dict[str, Any] | None = None) -> str:
    """Return the page of a run.

    Args:
        verdict: What the checker said.
        run: What the runner knows.
        found: The `figures` of the run, if they are made already.
    """
    found = found or figures(verdict, run)
    title = f"Roost simulation: {verdict.word}, {verdict.totals.sent:,} messages, seed {run.seed}"
    parts = [
        _head(verdict, run, found),
        _plots(verdict, run, found),
        _ledger(verdict, found),
        _stories(verdict.stories),
        _durations(found),
        _memory(verdict, run),
        _origin(run),
        _raw(found),
    ]
    return document(title, parts)


def _head(verdict: Verdict, run: RunInfo, found: dict[str, Any]) -> str:
    took = found["latency_ms"]["send_deliver"]
    tiles = [
        ("Delivered", f"{verdict.totals.delivered:,}", f"of {verdict.totals.sent:,} sent"),
        ("Rate", _shown(found["messages_per_s"]), "messages/s"),
        ("Send to delivery", _shown(took["p50"]), "ms p50"),
        ("Slowest 1%", _shown(took["p99"]), "ms p99"),
        ("Users", f"{run.users:,}", f"seed {run.seed}"),
        ("Faults", str(len(run.faults)), "struck"),
    ]
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
        for name, value, unit in tiles
    )
    state, word = (verdict.word, verdict.word.capitalize()) if verdict.totals.sent else ("empty", "Empty")
    return (
        f"<header><h1>Roost simulation{f' &middot; {escape(run.date)}' if run.date else ''}</h1></header>\n"
        f'<section class="verdict {state}" aria-label="Verdict"><p class="word">{word}</p>'
        f'<p class="why">{escape(_why(verdict))}</p></section>\n<dl class="tiles">{shown}</dl>'
    )


def _why(verdict: Verdict) -> str:
    totals = verdict.totals
    if not totals.sent:
        return "Nothing was sent, so nothing was shown."
    broken = [f"{count:,} {_words(kind)}" for kind, count in verdict.counts.items() if count]
    if broken:
        return f"Of {totals.sent:,} messages: {', '.join(broken)}. The first of each are told below."
    rest = f" {verdict.unverified:,} were still open when the run ended." if verdict.unverified else ""
    where = " and in the server's own store" if verdict.audited else ""
    return (
        f"All {totals.accepted:,} accepted messages are accounted for on every device{where}:"
        f" none lost, doubled, swapped, invented or altered.{rest}"
    )


def _plots(verdict: Verdict, run: RunInfo, found: dict[str, Any]) -> str:
    parts = [
        section(plot.title, figure(plot, name), plot.description)
        for name, plot in (("rate", throughput(verdict, run)), ("latency", latency(verdict, run)))
    ]
    return "\n".join([*parts, _faults(found["faults"])])


def _faults(faults: Sequence[dict[str, Any]]) -> str:
    if not faults:
        return ""
    rows = [
        (
            th(each["name"]),
            td(each["target"]),
            td(f"{each['begins_s']:.1f} s", "n"),
            td(f"{each['ends_s'] - each['begins_s']:.1f} s", "n"),
            td("not seen", "n open")
            if each["recovery_s"] is None
            else td(f"{each['recovery_s']:.2f} s", "n count"),
        )
        for each in faults
    ]
    heads = ("Fault", "Target", "Struck at", "Lasted", "Recovery")
    return section("Recovery", table(heads, rows, numbers=3), DEFINITION)


def _ledger(verdict: Verdict, found: dict[str, Any]) -> str:
    rows = []
    for kind, what in (*VIOLATIONS.items(), (UNVERIFIED, OPEN)):
        count = found[kind]
        style = "ok" if not count else "open" if kind == UNVERIFIED else "bad"
        mark = "&#10003;" if not count else "?" if kind == UNVERIFIED else "&#10007;"
        rows.append(
            f'<tr{" class=broken" if style == "bad" else ""}><th scope="row">{_words(kind)}</th>'
            f'<td class="what">{escape(what)}</td>'
            f'<td class="n count {style}"><span aria-hidden="true">{mark}</span> {count:,}</td></tr>'
        )
    totals = "".join(
        f'<tr><th scope="row">{name}</th><td class="what">{escape(what)}</td>'
        f'<td class="n">{found[name]:,}</td></tr>'
        for name, what in TOTALS.items()
    )
    head = (
        '<thead><tr><th scope="col">{}</th><th scope="col">What it counts</th>'
        '<th scope="col" class="n">Count</th></tr></thead>'
    )
    tables = (
        f'<table class="ledger">{head.format("Violation")}<tbody>{"".join(rows)}</tbody></table>'
        f'<h3>What happened</h3><table class="ledger">{head.format("Event")}<tbody>{totals}</tbody></table>'
    )
    note = (
        f"{verdict.events:,} events, reconciled. The server's own store was read for {verdict.audited:,} of"
        f" {verdict.devices:,} devices after the run. A message counts once under a violation, however many"
        " devices it concerns."
    )
    return section("The ledger", tables, note)


def _stories(stories: Sequence[Story]) -> str:
    if not stories:
        return ""
    parts = []
    for n, story in enumerate(stories):
        lines = "".join(f"<li>{escape(line)}</li>" for line in story.lines)
        first = n == 0 or stories[n - 1].kind != story.kind
        heading = f"<h3>{_words(story.kind).capitalize()}</h3>" if first else ""
        opened = " open" if n == 0 else ""
        parts.append(
            f"{heading}<details{opened}><summary>{escape(story.title)}</summary>"
            f'<ol class="story">{lines}</ol></details>'
        )
    note = "The first of each kind from end to end, with seconds since the message was sent."
    return section("Stories", "".join(parts), note)


def _durations(found: dict[str, Any]) -> str:
    rows = [
        (
            th(name),
            *(td(_shown(found["latency_ms"][key][each]), "n") for each in ("p50", "p95", "p99", "max")),
        )
        for key, name in DURATIONS.items()
    ]
    cost = found["server_cpu_s_per_1000"]
    note = "" if cost is None else f"The servers used {cost:.2f} s of CPU for 1,000 messages."
    heads = ("Milliseconds", "p50", "p95", "p99", "longest")
    return section("Durations", table(heads, rows, numbers=4), note)


def _memory(verdict: Verdict, run: RunInfo) -> str:
    used = roles(run)
    if not used:
        return ""
    until_s = span_s(verdict, run)
    rows = [list(_role(role, each, run, until_s)) for role, each in used.items()]
    heads = ("Role", "Over time", "First MB", "Peak MB", "Last MB", "CPU s")
    note = (
        "Resident memory, all processes of a role together; each line goes from 0 to its own peak."
        " The bands are the faults."
    )
    return section("Memory", table(heads, rows, numbers=4), note)


def _role(role: str, used: Sequence[Usage], run: RunInfo, until_s: float) -> Iterator[str]:
    points = [((each.at_us - run.started_us) / 1e6, each.rss_mb) for each in used]
    yield th("this harness" if role == HARNESS else role)
    yield f"<td>{sparkline(points, bands(run), until_s)}</td>"
    for value in (points[0][1], max(value for _, value in points), points[-1][1]):
        yield td(f"{value:,.0f}", "n")
    yield td(number(cpu_s(used)), "n")


def _origin(run: RunInfo) -> str:
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in run.remarks)
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
        for name, value in (("seed", run.seed), *run.environment.items())
    )
    body = (
        f'{remarks}<pre class="wrap"><code>{escape(run.command)}</code></pre><dl class="facts">{facts}</dl>'
    )
    note = (
        "The seed draws the same people, messages and faults again; what a real system makes of them differs"
        " from run to run."
    )
    return section("Where it comes from", body, note)


def _raw(found: dict[str, Any]) -> str:
    text = escape(json.dumps(found, indent=2, ensure_ascii=False))
    summary = "<summary>As JSON, the same as <code>--json</code> gives</summary>"
    return section("All figures", f"<details>{summary}<pre>{text}</pre></details>")


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _shown(value: float | None) -> str:
    return "none" if value is None else number(value)
