"""Figures of a run for people, on the screen and in a file."""

import re
import shutil
from pathlib import Path
from typing import Final

from tests.cluster.hosts import ROOT

OUT: Final = ROOT / "cluster-test"
"""Where reports, ledgers and logs are kept."""


def fresh() -> Path:
    """Empty that folder, and return it: a ledger's must be new."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    return OUT


def tell(text: str) -> None:
    """Show the lines, and keep them with the reports."""
    lines = "\n".join(f"    {line.strip()}" for line in text.strip().splitlines())
    print(lines)  # noqa: T201 -- figures are for people
    with (OUT / "told.txt").open("a") as kept:
        kept.write(lines + "\n")


def verdict(said: Path) -> str:
    """Return the simulation's last word, one sentence a line."""
    text = " ".join(
        line for line in said.read_text().splitlines() if " left, " not in line and "over time" not in line
    )
    return re.sub(r"(?<=[.;]) +", "\n", text)
