"""The simulation as load from outside while something happens, and its verdict afterwards."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.cluster.hosts import Site, end_family
from tests.cluster.site_servers import URL
from tests.cluster.telling import tell, verdict

_WARM_S: Final = 8.0
_SETTLE_S: Final = 60.0
_MORE_S: Final = 60.0


@contextmanager
def load(site: Site, out: Path, name: str, seconds: float, *options: str) -> Iterator[dict[str, Any]]:
    """Send for so many seconds; what is done inside happens meanwhile.

    Yields:
        The figures of the run, filled in when the block is left.

    Raises:
        AssertionError: A promise was broken, or the run did not end in time; its ledger's lines say how.
    """
    file, said = out / f"{name}.json", out / f"{name}.txt"
    file.unlink(missing_ok=True)
    sim = (sys.executable, "-m", "roost", "sim", "--server", URL, "--json", str(file))
    kept = ("--ledger", str(out / f"{name}-ledger"))
    size = ("--users", "40", "--rate", "30", "--duration", str(seconds), "--settle", str(_SETTLE_S))
    with said.open("w") as log:
        child = subprocess.Popen(
            site.command(*sim, *kept, *size, *options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        figures: dict[str, Any] = {}
        try:
            time.sleep(_WARM_S)  # for the accounts; traffic has begun then, or begins during what follows
            yield figures
            status = child.wait(seconds + _SETTLE_S + _MORE_S)
        finally:
            if child.poll() is None:
                end_family(child)
    assert file.exists(), f"the simulation made no report:\n{said.read_text()}"
    figures |= json.loads(file.read_text())
    tell(f"{name}: {verdict(said)}")
    assert status == 0, f"{name}: a promise was broken:\n{said.read_text()}"
    assert figures["sent"] > 0
    assert figures["failed"] == 0
