"""A Ray cluster on hosts, brought up as operators would: with `ray up` and the file of the repository."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.cluster.hosts import ROOT, Host, Site

FILE: Final = ROOT / "ray_cluster.yaml"
UP_S: Final = 120.0

_BIN: Final = Path(sys.prefix) / "bin"


def write_node_files(site: Site, settings: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Write what `make node` gathers, in the operator's home: Roost's settings, some changed."""
    lines = (ROOT / "examples/node/settings.env").read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in settings]
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]) + "\n"
    for name, content in {"settings.env": text, "ray-token": secrets.token_hex(32), **files}.items():
        site.write(f"/root/cluster/node/{name}", content)


def write_cluster_file(site: Site, hosts: Sequence[Host]) -> None:
    """Write the operator's copy of the file: addresses, user and key are filled in, nothing else."""
    head, *workers = hosts
    text = FILE.read_text()
    for placeholder, value in {
        "head_ip: HEAD_IP": f"head_ip: {head.address}",
        "    - WORKER_IP_1\n    - WORKER_IP_2\n": "".join(f"    - {each.address}\n" for each in workers),
        "ssh_user: USER": "ssh_user: root",
        "ssh_private_key: ~/.ssh/id_ed25519": f"ssh_private_key: {site.key}",
    }.items():
        assert text.count(placeholder) == 1, f"{placeholder!r} is not once in {FILE.name}"
        text = text.replace(placeholder, value)
    site.write("/root/cluster/ray_cluster.yaml", text)


def install(host: Host) -> None:
    """Prepare a machine, so that the file's set-up commands find the package there."""
    host.run("mkdir", "-p", "/root/roost")
    host.run("ln", "-s", sys.prefix, "/root/roost/venv")


def ray(site: Site, *words: str, within: float = UP_S) -> str:
    """Run the operator's ``ray`` beside the cluster file."""
    env = {"RAY_USAGE_STATS_ENABLED": "0"}
    return site.run(
        "sh", "-c", 'cd ~/cluster && exec "$@"', "sh", str(_BIN / "ray"), *words, env=env, within=within
    )


def ray_up(site: Site, *options: str) -> str:
    """Run ``ray up``; returns when the head is up, its workers may still be coming."""
    return ray(site, "up", "ray_cluster.yaml", "--yes", "--no-config-cache", *options)
