"""The result of a run as a table of text."""

from typing import Any

HEADS = (
    "scenario", "accepted/s", "delivered/s", "accept p50/p99 ms", "deliver p50/p99 ms", "CPU us", "cores",
    "PSS MB", "refused", "ledger",
)  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return the table, in Markdown, and a sentence about the whole."""
    rows = [HEADS, tuple("-" * len(head) for head in HEADS), *(cells(row) for row in result["scenarios"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines += [line for row in result["scenarios"] for line in details(row)]
    stops = [system["stop"] for system in result["systems"]]
    ready = ", ".join(f"{system['ready_s']:.1f}" for system in result["systems"])
    word = "holds" if result["holds"] else "is violated"
    lines += ["", f"The ledger {word}; ready after {ready} s; the stops ended with {stops}."]
    return "\n".join(lines)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a scenario's cells."""
    broken = ", ".join(f"{count} {kind}" for kind, count in row["ledger"].items() if count)
    verdict = row.get("failure") or broken or ("ok" if row.get("settled", True) else "not settled")
    if not row["loads"] and "failure" not in row:
        verdict = "-"
    return (
        row["name"],
        _number(row.get("accepted_per_s")),
        _number(row.get("delivered_per_s")),
        _pair(row.get("send_accept_ms")),
        _pair(row.get("send_deliver_ms")),
        _number(row.get("cpu_us_of_servers")),
        "" if row.get("cores_of_servers") is None else f"{row['cores_of_servers']:.2f}",
        _number(row.get("pss_mb_of_servers")),
        _number(row.get("refused")),
        verdict,
    )


def details(row: dict[str, Any]) -> list[str]:
    """Return what does not fit into a row."""
    lines = []
    if "first_page_ms" in row:
        lines.append(
            f"{row['name']}: first page p50/p99 {_pair(row['first_page_ms'])} ms (after a fresh start "
            f"{row.get('first_after_start_ms')}), from the middle {_pair(row['middle_page_ms'])} ms, "
            f"last {_pair(row['last_page_ms'])} ms"
        )
    if "ten_seconds_later" in row:
        later, told = row["ten_seconds_later"], row["retry_after_s"].get("p50")
        lines.append(
            f"{row['name']}: {row['due'] / row['seconds']:,.0f}/s offered of {row['rate']:,} planned; "
            f"times to wait p50 {told} s, refusals without one {row['refusals_without_time']}; "
            f"ten seconds later 100/s took {_pair(later['send_deliver_ms'])} ms"
        )
    lines += [
        f"{row['name']}: {kill['in_flight']} in flight at the kill took {_pair(kill['in_flight_ms'])} ms, "
        f"what was due in the next second {_pair(kill['due_in_the_next_second_ms'])} ms"
        for kill in row.get("kills", ())
    ]
    if "drain" in row:
        again = sum(row["refusals"].values())
        lines.append(
            f"{row['name']}: {row['drain']['messages']:,} drained at {row['drain']['per_s']:,}/s, "
            f"{again:,} refused at first"
        )
    lines += [f"{row['name']}: {each['examples']}" for each in row["loads"] if each["examples"]]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _pair(percentiles: dict[str, float] | None) -> str:
    return f"{percentiles['p50']:g}/{percentiles['p99']:g}" if percentiles else ""
