"""One cluster for the tests of a file; they run in their order, and each finds what the one before left."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster import site_servers
from tests.cluster.cluster import Cluster, install, ray_up, write_cluster_file, write_node_files
from tests.cluster.hosts import ADDRESS, site
from tests.cluster.telling import OUT, tell

_FIRST: Final = ("host-1", "host-2", "host-3")
_ADDRESSES: Final = [f"{ADDRESS.rpartition('.')[0]}.{number}" for number in range(11, 19)]
"""Of all hosts that there may ever be."""


@pytest.fixture(scope="session")
def out() -> Path:
    shutil.rmtree(OUT, ignore_errors=True)  # a ledger's folder must be new
    OUT.mkdir()
    return OUT


@pytest.fixture(scope="module")
def three_hosts(out: Path) -> Iterator[Cluster]:
    """Three hosts, Ray on them by ``ray up``, and the system on that by ``roost up``."""
    began = time.monotonic()
    with site() as made:
        hosts = [made.add(name) for name in _FIRST]
        for host in hosts:
            install(host)
        site_servers.start_servers(made, _ADDRESSES)
        files = site_servers.secret_files(made.folder)
        files |= site_servers.certificate_files(made.folder, _ADDRESSES)
        write_node_files(made, site_servers.SETTINGS, files)
        write_cluster_file(made, hosts)
        tell(f"hosts and servers: {time.monotonic() - began:.1f} s")
        (out / "ray-up.txt").write_text(ray_up(made))
        cluster = Cluster(made, out)
        cluster.until_nodes(len(_FIRST))
        tell(f"three nodes by ray up: {time.monotonic() - began:.1f} s")
        try:
            cluster.start()
            tell(f"the system is ready: {time.monotonic() - began:.1f} s")
            yield cluster
        finally:
            cluster.keep_logs()
