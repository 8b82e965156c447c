"""From two hosts to six and back under load: what moves, what clients see, how long they wait."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sim.ledger import Kind, now_us
from tests.cluster.telling import tell, verdict
from tests.live.running import System

pytestmark = pytest.mark.timeout(240)

SHARDS = 48
CALM_S = 8.0
JOINED_S = 60.0
SIM_S = 150.0

DELIVERIES = """
SELECT sent.at_us, min(told.at_us) - sent.at_us FROM events AS sent JOIN events AS told ON told.id = sent.id
WHERE sent.kind = ? AND told.kind = ? GROUP BY sent.id
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    options = ("--hosts", "2", "--routers", "2", "--gateways", "2")
    running = System(tmp_path / "system", *options, env={"ROOST_SHARDS": str(SHARDS)})
    try:
        yield running.start()
    finally:
        running.stop()


def test_hosts_come_and_go_under_load(system: System, out: Path) -> None:
    report, ledger, said = out / "scaled.json", out / "scaled-ledger", out / "scaled.txt"
    sim = (sys.executable, "-m", "roost", "sim", "--server", system.http, "--json", str(report))
    load = ("--users", "60", "--rate", "60", "--duration", "40", "--ledger", str(ledger))
    with said.open("w") as log:
        child = subprocess.Popen([*sim, *load], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for_traffic(ledger)
            time.sleep(CALM_S)
            up = scale(system, 6)
            time.sleep(CALM_S)
            down = scale(system, 2)
            status = child.wait(SIM_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    assert status == 0, said.read_text()

    # Four of six hosts are new, so at most four sixths of the shards have to move; and those back again.
    assert moved(system) == [SHARDS * 4 // 6, SHARDS * 4 // 6]
    figures = json.loads(report.read_text())
    assert figures["remarks"] == []
    assert figures["failed"] == figures["missed"] == 0
    took = deliveries(ledger / "ledger-0.db")
    for name, (began, ended) in {"2 to 6 hosts": up, "6 to 2 hosts": down}.items():
        during = sorted(each for at, each in took if began <= at <= ended)
        tell(
            f"{name}: {(ended - began) / 1e6:.1f} s, {len(during)} messages meanwhile, "
            f"send to deliver p50 {percentile(during, 0.5):.0f} ms, p99 {percentile(during, 0.99):.0f} ms"
        )
    calm = sorted(each for at, each in took if at < up[0])
    tell(f"before: p50 {percentile(calm, 0.5):.0f} ms, p99 {percentile(calm, 0.99):.0f} ms")
    tell(verdict(said))


def scale(system: System, hosts: int) -> tuple[int, int]:
    """Run ``roost scale``, and return when that began and when it was over, on the ledger's clock."""
    began = now_us()
    verb = (sys.executable, "-m", "roost", "scale", f"host={hosts}", "--data", str(system.data))
    done = subprocess.run(verb, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return began, now_us()


def moved(system: System) -> list[int]:
    """Return how many shards each change of the map gave to another host."""
    lines = (system.data / "logs" / "coordinator.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if '"shards_moved"' in line]
    return [each["shards"] for each in events if each["moved_role"] == "host" and each["version"] > 1]


def wait_for_traffic(ledger: Path) -> None:
    ends = time.monotonic() + JOINED_S
    while not (file := ledger / "ledger-0.db").exists() or not deliveries(file):
        assert time.monotonic() < ends, f"no traffic after {JOINED_S:g} s"
        time.sleep(0.2)


def deliveries(file: Path) -> list[tuple[int, int]]:
    """Return when each message was sent, and after how many us its recipient was told first."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger:
        try:
            return list(ledger.execute(DELIVERIES, (Kind.INTENT, Kind.RECEIVED)))
        except sqlite3.OperationalError:
            return []  # its tables are about to be made


def percentile(us: list[int], share: float) -> float:
    """Return milliseconds."""
    return us[min(len(us) - 1, int(len(us) * share))] / 1e3
