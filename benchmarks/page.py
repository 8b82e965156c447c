"""The result of a run as one self-contained page with plots, made of the parts of the simulation's report."""

import json
from html import escape
from typing import Any

from benchmarks.table import HEADS, cells, details
from sim.report.html import document, section, table, td, th
from sim.report.plots import Line, Plot, figure

_RATES = (("delivered", "s1"), ("accepted", "s2"))
_LATENCIES = (("p99_ms", "s3"), ("p50_ms", "s1"))


def page(result: dict[str, Any]) -> str:
    """Return the page of a run."""
    parts = [_head(result), _overview(result), _cpu(result)]
    parts += [_scenario(row) for row in result["scenarios"] if row.get("series")]
    parts += [_origin(result)]
    return document(f"Roost benchmarks, {result['date']}", parts)


def _head(result: dict[str, Any]) -> str:
    state = "holds" if result["holds"] else "violated"
    sent = sum(load["accepted"] for row in result["scenarios"] for load in row["loads"])
    why = f"{sent:,} messages were accepted. Each was looked for at its recipient and in the store."
    return (
        f"<header><h1>Roost benchmarks &middot; {escape(result['date'])}</h1></header>\n"
        f'<section class="verdict {state}" aria-label="Verdict"><p class="word">{state.capitalize()}</p>'
        f'<p class="why">{escape(why)}</p></section>'
    )


def _overview(result: dict[str, Any]) -> str:
    rows = []
    for row in result["scenarios"]:
        name, *values, verdict = cells(row)
        rows.append([th(name), *(td(value, "n") for value in values), td(verdict)])
    more = "".join(f"<p>{escape(line)}</p>" for row in result["scenarios"] for line in details(row))
    return section("All scenarios", table(HEADS, rows, numbers=0) + more)


def _cpu(result: dict[str, Any]) -> str:
    rows = [row for row in result["scenarios"] if row.get("cpu_us")]
    roles = sorted({role for row in rows for role in row["cpu_us"]})
    body = [
        [th(row["name"]), *(td(f"{row['cpu_us'].get(role, 0):,}", "n") for role in roles)] for row in rows
    ]
    note = "Microseconds of processor time for each delivered message, by role; the client is the generator."
    return (
        section("Processor time", table(["scenario", *roles], body, numbers=len(roles)), note) if rows else ""
    )


def _scenario(row: dict[str, Any]) -> str:
    plots = []
    for title, unit, wanted in (("Messages", "/s", _RATES), ("Send to delivery", "ms", _LATENCIES)):
        lines = [
            Line(
                key.removesuffix("_ms"),
                style,
                [(n + 0.5, value) for n, value in enumerate(row["series"][key])],
            )
            for key, style in wanted
        ]
        if all(value is None for line in lines for _, value in line.points):
            continue
        plot = Plot(
            f"{row['name']}: {title}",
            f"{title} in each second of {row['title']}.",
            unit,
            lines,
            [],
            max(1.0, float(len(row["series"]["delivered"]))),
            logarithmic=unit == "ms",
        )
        plots.append(figure(plot, f"{row['name']}-{unit.strip('/')}"))
    return section(f"{row['name']}: {row['title']}", "".join(plots))


def _origin(result: dict[str, Any]) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
        for name, value in result["environment"].items()
    )
    text = escape(json.dumps(result, indent=1))
    return section(
        "Where it comes from",
        f'<pre class="wrap"><code>{escape(result["command"])}</code></pre><dl class="facts">{facts}</dl>'
        f"<details><summary>All figures, as JSON</summary><pre>{text}</pre></details>",
    )
