"""A cluster from nothing: machines, servers, Ray by ``ray up``, and the system on that by ``roost up``."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.cluster import site_servers
from tests.cluster.cluster import Cluster, install, ray_up, write_cluster_file, write_node_files
from tests.cluster.hosts import ADDRESS, site
from tests.cluster.telling import tell

_ADDRESSES: Final = [f"{ADDRESS.rpartition('.')[0]}.{number}" for number in range(11, 19)]
"""Of all hosts that there may ever be."""


@contextmanager
def begun(out: Path, names: Sequence[str]) -> Iterator[Cluster]:
    """Begin a cluster of machines with these names, of which the first has Ray's head; it ends on leaving.

    Raises:
        CannotMake: Something that it needs is not there.
        AssertionError: It did not become ready; with what was said.
    """
    began = time.monotonic()
    with site() as made:
        hosts = [made.add(name) for name in names]
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
        cluster.until_nodes(len(names))
        tell(f"{len(names)} nodes by ray up: {time.monotonic() - began:.1f} s")
        try:
            cluster.start()
            tell(f"the system is ready: {time.monotonic() - began:.1f} s")
            yield cluster
        finally:
            cluster.keep_logs()
