"""The servers that the system needs beside its nodes, at the site's address.

The log, the store, the cache, the push endpoint, a Redis for Ray's head, and a load balancer before the
gateways.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cluster.certificates import Authority, Purpose
from cluster.local import servers, specs
from cluster.local.fcm_endpoint import write_service_account
from cluster.local.servers import HOST, ServerSpec
from roost.clock import now_ms
from storage.keyring import KeyRing, fresh_secrets
from tests.certificates import NOW
from tests.cluster.hosts import ADDRESS, Site

HTTP: Final = 8080
URL: Final = f"http://{ADDRESS}:{HTTP}"
"""The load balancer: for clients there is nothing else."""

BROWSER_URL: Final = f"http://localhost:{HTTP}"
"""The same, for a browser in the site: without TLS it lets only this name have what a page needs."""

_KAFKA, _MONGO, _REDIS, _RAY_REDIS, _FCM = 9092, 27017, 6379, 6380, 9099
_READY_S: Final = 90.0

SETTINGS: Final = {
    "RAY_REDIS_ADDRESS": f"{ADDRESS}:{_RAY_REDIS}",
    "ROOST_SERVER_NAME": "localhost",
    "ROOST_SHARDS": "16",
    "ROOST_CLEARTEXT__SERVERS_INSECURE": "true",
    "ROOST_KAFKA__URL": f"{ADDRESS}:{_KAFKA}",
    "ROOST_MONGO__URL": f"mongodb://{ADDRESS}:{_MONGO}",
    "ROOST_REDIS__URL": f"redis://{ADDRESS}:{_REDIS}/0",
    "ROOST_FCM__ENDPOINT": f"http://{ADDRESS}:{_FCM}",
    # All users are on one host.
    "ROOST_LIMITS__ACCOUNTS_BY_ADDRESS__BURST": "3000",
    "ROOST_LIMITS__LOGINS_BY_ADDRESS__BURST": "3000",
    "ROOST_CLUSTER__HOSTS": "3",
    "ROOST_CLUSTER__ROUTERS": "2",
    "ROOST_CLUSTER__GATEWAYS": "3",
}
"""What differs from the settings that come with Roost."""


def start_servers(site: Site, gateways: Iterable[str]) -> None:
    """Start them all and return when they answer. They end with the site.

    Args:
        site: Where.
        gateways: Addresses of all hosts that gateways may ever be on.
    """
    folder = site.folder / "servers"
    folder.mkdir()
    wanted = [
        specs.kfake(_KAFKA, folder),
        specs.mongo(_MONGO, folder),
        specs.redis(_REDIS, folder),
        _ray_redis(folder),
        _fcm(folder),
        _balancer(folder, gateways),
    ]
    for spec in wanted:
        # The same command as on one machine, but for the address that it listens on.
        argv = [word.replace(HOST, ADDRESS) for word in spec.argv]
        open_to_all = ["--protected-mode", "no"] if Path(argv[0]).name.startswith(("redis", "valkey")) else []
        site.start(*argv, *open_to_all, log=spec.log)
    for spec in wanted:
        answers = f"until (</dev/tcp/{ADDRESS}/{spec.port}) 2>/dev/null; do sleep 0.05; done"
        site.run("bash", "-c", answers, within=_READY_S)


def secret_files(folder: Path) -> dict[str, str]:
    """Return the key ring and the service account by file name."""
    KeyRing(fresh_secrets(now_ms())).save(folder / "keyring.json")
    write_service_account(folder / "fcm.json", f"http://{ADDRESS}:{_FCM}")
    return {name: (folder / name).read_text() for name in ("keyring.json", "fcm.json")}


def certificate_files(folder: Path, addresses: Iterable[str]) -> dict[str, str]:
    """Return the CA's certificate, and one with its key for all of these hosts, by file name."""
    made = folder / "certs"
    Authority.create(made, "the site", NOW).issue("node", [*addresses], Purpose.NODE, NOW)
    return {name: (made / name).read_text() for name in ("ca.crt", "node.crt", "node.key")}


def _ray_redis(folder: Path) -> ServerSpec:
    """Describe a Redis that keeps what it is told: Ray's head begins again from that."""
    cache = specs.redis(_RAY_REDIS, folder)
    place = folder / "ray"
    place.mkdir()
    argv = (
        cache.argv[0],
        "--port",
        str(_RAY_REDIS),
        "--bind",
        HOST,
        "--dir",
        str(place),
        "--appendonly",
        "yes",
    )
    return ServerSpec("ray-redis", argv, _RAY_REDIS, servers.accepts, folder / "ray-redis.log")


def _fcm(folder: Path) -> ServerSpec:
    argv = (
        sys.executable,
        "-m",
        "cluster.local.fcm_endpoint",
        "--host",
        HOST,
        "--port",
        str(_FCM),
        "--anyone",
    )
    return ServerSpec("fcm", argv, _FCM, servers.accepts, folder / "fcm.log")


def _balancer(folder: Path, gateways: Iterable[str]) -> ServerSpec:
    file = folder / "haproxy.cfg"
    lines = [f"  server host{n} {address}:{HTTP}" for n, address in enumerate(gateways, 1)]
    file.write_text(_BALANCER.format(address=ADDRESS, port=HTTP, servers="\n".join(lines)))
    return ServerSpec("haproxy", ("haproxy", "-f", str(file)), HTTP, servers.accepts, folder / "haproxy.log")


_BALANCER: Final = """
defaults
  mode tcp
  log stdout format raw local0
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
  retries 3
  option redispatch
listen gateways
  bind {address}:{port}
  bind 127.0.0.1:{port}
  balance leastconn
  option httpchk GET /healthz
  default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""
