"""The table for people, as Markdown."""

from cluster.firewall.table import FLOWS, shown


def table() -> str:
    """Return it."""
    rows = [
        f"| {', '.join(flow.sources)} | {', '.join(flow.targets)} | "
        f"{', '.join(shown(flow.ports))}/{flow.protocol} | {flow.why} |"
        for flow in FLOWS
    ]
    return "\n".join(["| from | to | ports | for |", "|---|---|---|---|", *rows]) + "\n"
