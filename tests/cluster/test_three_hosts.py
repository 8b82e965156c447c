"""Machines that die, are cut off, come, go and lose their head, while the simulation keeps its ledger."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, install, join
from tests.cluster.hosts import Host
from tests.cluster.load import load
from tests.cluster.telling import tell

pytestmark = pytest.mark.timeout(240)

AWAY_S = 10
"""How long Ray's head is away before it is started again."""

SHARE_S = 120.0
"""A machine that joined has a host after this long: roles move one by one, with a calm before each."""

CUT_OFF_S = 4
"""A machine stays cut off for so long after others have its roles."""

REPLACED_S = 10.0
"""Who was replaced while it was cut off has ended this long after it could ask."""


def test_a_worker_dies_and_a_machine_joins_in_its_place(three_hosts: Cluster, out: Path) -> None:
    site = three_hosts.site
    with load(site, out, "killed", 30):
        site.hosts["host-3"].kill()
        took = three_hosts.until(three_hosts.all_at_work("host-1", "host-2"))
        tell(f"all roles at work elsewhere after {took:.1f} s")
        began = time.monotonic()
        fourth = site.add("host-4")
        install(fourth)
        join(site, fourth, three_hosts.head)
        tell(f"joined after {time.monotonic() - began:.1f} s")
        took = three_hosts.until(three_hosts.shares("host-1", "host-2", "host-4"), within=SHARE_S)
        tell(f"had its share {took:.1f} s later")
    tell(f"roles by machine: {three_hosts.spread()}")


def test_a_machine_is_cut_off_and_comes_back(three_hosts: Cluster, out: Path) -> None:
    host = three_hosts.site.hosts["host-2"]
    with load(three_hosts.site, out, "cut-off", 24):
        rows = [row for row in three_hosts.status()["roles"] if row["node"] == host.address]
        host.cut_off()  # until here the balancer may move a role away
        replaced = {str(row["pid"]) for row in rows if row["role"] != "spare"} & processes_on(host)
        assert replaced, "no role was at work there"
        took = three_hosts.until(three_hosts.all_at_work("host-1", "host-4"))
        tell(f"all roles at work elsewhere after {took:.1f} s")
        time.sleep(CUT_OFF_S)
        host.let_back()
        began = time.monotonic()
        while left := replaced & processes_on(host):
            assert time.monotonic() - began < REPLACED_S, f"still there, with an old map: {left}"
            time.sleep(0.2)
        tell(f"who had been replaced ended {time.monotonic() - began:.1f} s after it was let back")
    took = three_hosts.until_nodes(3)
    tell(f"Ray's autoscaler had it back {took:.1f} s after the load")


def processes_on(host: Host) -> set[str]:
    """Return the ids of the processes of roles on a host, spares included."""
    return set(host.run("sh", "-c", "pgrep -f ray::_RoleActor || true").split())


@pytest.mark.slow
def test_a_machine_is_drained(three_hosts: Cluster, out: Path) -> None:
    site, place = three_hosts.site, three_hosts.site.hosts["host-4"]
    with load(site, out, "drained", 18):
        said = three_hosts.roost("drain", place.address, within=120)
        tell(said)
        left = [row["name"] for row in three_hosts.status()["roles"] if row["node"] == place.address]
        assert left == [], "the machine may go, it said"
        three_hosts.until(three_hosts.all_at_work("host-1", "host-2"))
        assert drained(three_hosts) == {place.address}
        tell(three_hosts.roost("undrain", place.address))
        assert drained(three_hosts) == set()
        place.kill()


def drained(cluster: Cluster) -> set[str]:
    """Return the addresses of the machines that may have no roles."""
    return {row["node"] for row in cluster.status()["nodes"] if row["drained"]}


def hosts_of_workers(cluster: Cluster, status: Mapping[str, Any]) -> dict[str, str]:
    """Return the process id of a host on each machine that has one, by address; without the head's."""
    hosts = {row["node"]: str(row["pid"]) for row in status["roles"] if row["role"] == "host" and row["pid"]}
    return {each: pid for each, pid in hosts.items() if each not in {"", cluster.head.address}}


def test_the_head_dies_and_begins_again(three_hosts: Cluster, out: Path) -> None:
    head = three_hosts.head
    # A machine that has just come back has no host yet: which one has, is for the balancer to say.
    three_hosts.until(
        lambda status: "" if hosts_of_workers(three_hosts, status) else "no host but the head's", SHARE_S
    )
    with load(three_hosts.site, out, "head", 22):
        pids = hosts_of_workers(three_hosts, three_hosts.status())
        head.run("pkill", "-STOP", "-f", "cluster.local.gcs_watchdog")
        head.run("pkill", "-KILL", "gcs_server")
        with pytest.raises(AssertionError, match="status"):  # what looks for a role by its name waits
            three_hosts.roost("status", within=AWAY_S / 2)
        # One that the balancer was just moving may have ended; without the head it moves no more.
        workers = [each for each in three_hosts.site.hosts.values() if each.address in pids]
        worker = next(each for each in workers if pids[each.address] in processes_on(each))
        worker.run("kill", "-KILL", pids[worker.address])  # its shards go to others without the head
        time.sleep(AWAY_S / 2)
        head.run("pkill", "-CONT", "-f", "cluster.local.gcs_watchdog")
        took = three_hosts.until(three_hosts.all_at_work(*three_hosts.living()), within=SHARE_S)
        tell(f"the head and the role that died without it were back after {took:.1f} s")


@pytest.mark.slow
def test_a_spare_leaves_a_drained_machine_and_dies_with_another(three_hosts: Cluster, out: Path) -> None:
    hosts, left = three_hosts.site.hosts, ""
    until_spare(three_hosts)
    while not left or spare_of(three_hosts.status()) == three_hosts.head.address:
        left = spare_of(three_hosts.status())
        tell(three_hosts.roost("drain", left, within=120))
        roles = {row["role"] for row in three_hosts.status()["roles"] if row["node"] == left}
        assert roles <= {"coordinator"}, "the machine may go, it said"
        tell(f"the next spare was elsewhere after {until_spare(three_hosts, left):.1f} s")
        tell(three_hosts.roost("undrain", left))
    with load(three_hosts.site, out, "spare-dies", 20):
        place = spare_of(three_hosts.status())
        next(host for host in hosts.values() if host.address == place).kill()
        took = three_hosts.until(three_hosts.all_at_work(*three_hosts.living()))
        tell(f"all roles at work without that machine and its spare after {took:.1f} s")
    until_spare(three_hosts, place)


def until_spare(cluster: Cluster, but: str = "") -> float:
    """Wait for a spare that is ready, on another machine than this, and return how long that took."""
    return cluster.until(
        lambda status: "" if spare_of(status) not in {"", but} else f"no spare, but perhaps on {but!r}", 90
    )


def spare_of(status: Mapping[str, Any]) -> str:
    """Return the address of the machine that the spare is on, '' if it is not ready."""
    places = [str(row["node"]) for row in status["roles"] if row["role"] == "spare" and row["node"]]
    return places[0] if places else ""
