"""A Ray cluster on hosts, brought up as operators would: with `ray up` and the file of the repository."""

import json
import secrets
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.hosts import ROOT, Host, Site

FILE: Final = ROOT / "ray_cluster.yaml"
UP_S: Final = 120.0

Missing = Callable[[Mapping[str, Any]], str]
"""Says what a status lacks, '' if nothing."""

_BIN: Final = Path(sys.prefix) / "bin"
_RUN: Final = "/root/roost/node/run"
_COUNT_NODES: Final = """
import ray
ray.init(address="auto", log_to_driver=False, configure_logging=False)
print(sum(node["Alive"] for node in ray.nodes()))
"""
_READY_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5


def write_node_files(site: Site, settings: Mapping[str, str], files: Mapping[str, str]) -> None:
    """Write what `make node` gathers, in the operator's home: Roost's settings, some changed.

    The site's servers have neither passwords nor certificates.
    """
    lines = (ROOT / "examples/node/settings.env").read_text().splitlines()
    names = {line: line.partition("=")[0] for line in lines}
    kept = [line for line in lines if names[line] not in settings and "__SECURITY__" not in names[line]]
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in settings.items())]) + "\n"
    for name, content in {"settings.env": text, "ray-token": secrets.token_hex(32), **files}.items():
        site.write(f"/root/cluster/node/{name}", content)
    site.write("/root/cluster/node/run", (ROOT / "examples/node/run").read_text(), mode=0o700)


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


def join(site: Site, host: Host, head: Host) -> None:
    """Let a further machine join as docs/head.md tells: copy the files, run the commands for a worker."""
    config = yaml.safe_load(FILE.read_text())
    trusted = ("-i", str(site.key), "-o", "BatchMode=yes")
    host_name = f"root@{host.address}"
    site.run(
        "rsync", "-a", "-e", f"ssh -i {site.key}", "/root/cluster/node", f"{host_name}:roost/", within=UP_S
    )
    for command in (*config["setup_commands"], *config["worker_start_ray_commands"]):
        told = f"export RAY_HEAD_IP={head.address}; {command}"
        site.run("ssh", *trusted, host_name, told, within=UP_S)


class Cluster:
    """Hosts with the system on them.

    Attributes:
        site: Where the operator and the servers are.
        head: The host with Ray's head: the first of the site.
    """

    def __init__(self, made: Site, out: Path) -> None:
        self.site, self._out = made, out
        self.head = next(iter(made.hosts.values()))

    def start(self) -> None:
        """Start the system as ray_cluster.yaml tells, and return when every role works."""
        ray(self.site, "exec", "ray_cluster.yaml", "~/roost/node/run roost up --address auto")
        self.until(self.all_at_work(*self.site.hosts))

    def living(self) -> list[str]:
        """Return the names of the hosts that were not killed."""
        return [name for name, host in self.site.hosts.items() if host.lives]

    def until_nodes(self, count: int, within: float = _READY_S) -> float:
        """Wait until Ray knows of so many living nodes, and return how long that took."""
        began = time.monotonic()
        while (found := self.nodes()) != count:
            took = time.monotonic() - began
            assert took < within, f"after {took:.0f} s there are {found} nodes, not {count}"
            time.sleep(_LOOK_EVERY_S)
        return time.monotonic() - began

    def nodes(self) -> int:
        """Return how many living nodes Ray knows of."""
        said = self.head.run(_RUN, "python", "-c", _COUNT_NODES).splitlines()
        [count] = [line for line in said if line.isdigit()]  # Ray may say something, too
        return int(count)

    def roost(self, *words: str, within: float = 60.0) -> str:
        """Run ``roost`` on the head."""
        return self.head.run(_RUN, "roost", *words, "--address", "auto", within=within)

    def status(self) -> dict[str, Any]:
        """Return what ``roost status`` says."""
        said = self.roost("status", "--json")
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        with (self._out / "status.jsonl").open("a") as kept:
            kept.write(json.dumps({"at": time.strftime("%H:%M:%S"), **found}) + "\n")
        return found

    def until(self, missing: Missing, within: float = _READY_S) -> float:
        """Wait until the status lacks nothing, and return how long that took."""
        began = time.monotonic()
        while True:
            try:
                text = missing(self.status())
            except AssertionError as exc:
                text = str(exc)
            took = time.monotonic() - began
            if not text:
                return took
            assert took < within, f"after {took:.0f} s: {text}"
            time.sleep(_LOOK_EVERY_S)

    def all_at_work(self, *hosts: str) -> Missing:
        """Return what says who is missing until every role runs, on all of these hosts and on no other."""
        places = {self.site.hosts[name].address for name in hosts}

        def missing(status: Mapping[str, Any]) -> str:
            roles, away = _roles_and_away(status)
            used = {str(row["node"]) for row in roles}
            if away or used != places:
                return f"away: {away}, on {sorted(used)}, wanted on {sorted(places)}"
            return ""

        return missing

    def shares(self, *hosts: str) -> Missing:
        """Return what says who is missing until every role runs, and each of these has shards."""
        places = {self.site.hosts[name].address for name in hosts}

        def missing(status: Mapping[str, Any]) -> str:
            roles, away = _roles_and_away(status)
            serving = {str(row["node"]) for row in roles if row["role"] == "host" and row["shards"]}
            if away or not places <= serving:
                return f"away: {away}, shards on {sorted(serving)}, wanted on {sorted(places)}"
            return ""

        return missing

    def spread(self) -> dict[str, dict[str, int]]:
        """Return how many of each role every address has; a role that is just coming is nowhere yet."""
        found: dict[str, Counter[str]] = {}
        for row in self.status()["roles"]:
            found.setdefault(row["node"] or "nowhere yet", Counter())[row["role"]] += 1
        return {node: dict(roles) for node, roles in sorted(found.items())}

    def keep_logs(self) -> None:
        """Copy the roles' logs of all hosts that are there, for who looks for a reason."""
        for name, host in self.site.hosts.items():
            folder = Path(f"/proc/{host.pid}/root/root/roost/data/logs")
            if folder.is_dir():
                shutil.copytree(folder, self._out / f"{name}-logs", dirs_exist_ok=True)


def _roles_and_away(status: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the roles, and the names of those that do not run as they should."""
    roles = [row for row in status["roles"] if row["role"] != "spare"]  # it may be anywhere, or nowhere
    return roles, [row["name"] for row in roles if row["state"] != "running" or row.get("detail")]
