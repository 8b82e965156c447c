"""Checks of a system that runs: its front door, its key ring, its roles."""

import asyncio
import json
import socket
import ssl
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final

import aiohttp

from cluster.doctor.exposure import who_listens
from cluster.doctor.finding import Finding, failed, ok
from cluster.doctor.here import place_of
from cluster.local.runfile import Running
from cluster.settings import Settings, url_host
from cluster.supervision.membership import RUNNING
from roost.own_packages import program
from storage.keyring import KeyRing

_ASK_S: Final = 3.0
_STATUS_S: Final = 30.0


async def front_door(settings: Settings, running: Running | None, ring: KeyRing | None) -> Finding:
    """Whether gateways can listen; or, if they do, whether they are ours and ready."""
    url = running.http if running is not None else _url(settings)
    host, port = place_of(url)
    place = f"{host}:{port}"
    if running is None and _free(settings):
        return ok("http port", f"{place} is free" if port else "any free one")
    keys = await _get(f"{url}/.well-known/jwks.json")
    if keys is None and running is None:
        return failed(
            "http port",
            f"{who_listens(port)} has {place}, and it is no gateway",
            f"Stop it, or choose another port with --port or ROOST_HTTP__PORT (now {port}).",
        )
    if keys is None:
        return failed(
            "http port",
            f"{url} does not answer",
            f"See the gateways' logs in {settings.data}/logs, and roost status.",
        )
    if ring is not None and not _same_keys(keys, ring):
        return failed(
            "http port",
            f"the gateways at {url} work with another key ring than {settings.keyring_file}",
            "Restore the key ring they were started with, or stop that system and start it again.",
        )
    ready = await _get(f"{url}/readyz")
    if ready is None or not ready.get("ready"):
        return failed(
            "http port",
            f"{url} is not ready: {(ready or {}).get('checks')}",
            "Look after what is not ok in this list first.",
        )
    return ok("http port", f"{url} is ready")


async def roles(settings: Settings, address: str | None) -> list[Finding]:
    """Whether every role runs, from the same release."""
    if address is not None and ":" in address and (reason := await unreachable(*_split(address))):
        fix = "Start it with ray start --head, or correct --address or ROOST_CLUSTER__ADDRESS."
        return [failed("roles", f"no Ray cluster at {address}: {reason}", fix)]
    where = ("--data", str(settings.data)) if address is None else ("--address", address)
    process = await asyncio.create_subprocess_exec(
        *(*program("roost"), "status", "--json", *where),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_STATUS_S):
            said, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        said, complaint = b"", f"no answer within {_STATUS_S:g} s".encode()
    if process.returncode or not said:
        reason = (complaint.decode(errors="replace").strip().splitlines() or ["no answer"])[-1]
        fix = f"See {settings.data}/logs/coordinator.log; stop it with roost down, start it with roost up."
        if address is not None:
            fix = (
                f"Start the roles on a node of it with roost up --address {address}, or see that node's logs."
            )
        return [failed("roles", reason, fix)]
    return judge_roles(json.loads(said)["roles"], metadata.version("roost"), str(settings.data / "logs"))


def judge_roles(rows: Sequence[dict[str, Any]], release: str, logs: str) -> list[Finding]:
    """Judge the rows of ``roost status --json``.

    Args:
        rows: One for each role and server; ``release`` of a row (a gateway's ``version``) is Roost's there.
        release: The one that is installed here.
        logs: Where the logs are.
    """
    away = [row for row in rows if row["state"] != RUNNING]
    # A spare that is being made is none that is missing; one that cannot be made says why.
    bad = [
        f"{row['name']} is {row['state']}" for row in away if row.get("role") != "spare" or row.get("detail")
    ]
    findings = [
        failed("roles", ", ".join(bad), f"See the logs of these in {logs}; they are started again.")
        if bad
        else ok("roles", f"{len(rows)} run")
    ]
    told = {row["name"]: row.get("release", row.get("version")) for row in rows}
    others = {name: each for name, each in told.items() if isinstance(each, str) and each != release}
    if others:
        shown = ", ".join(f"{name} {each}" for name, each in sorted(others.items()))
        fix = f"Install roost {release} on every node, then roost down and roost up, so that all run it."
        return [*findings, failed("releases", f"{shown}; here is {release}", fix)]
    return [*findings, ok("releases", release)]


async def reachable(url: str) -> Finding:
    """Whether pushes can be sent there."""
    host, port = place_of(url)
    if reason := await unreachable(host, port):
        return failed(
            "push endpoint",
            f"{url} cannot be reached: {reason}",
            f"Let this machine reach {host}:{port} through its firewall, or correct ROOST_FCM__ENDPOINT.",
        )
    return ok("push endpoint", f"{url} can be reached")


async def unreachable(host: str, port: int) -> str:
    """Return why no one accepts a connection there, '' if someone does."""
    try:
        async with asyncio.timeout(_ASK_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as exc:
        return exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
    writer.close()
    return ""


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _url(settings: Settings) -> str:
    scheme = "http" if settings.tls.certificate is None else "https"
    return f"{scheme}://{url_host(settings.http.host)}:{settings.http.port}"


def _free(settings: Settings) -> bool:
    family = socket.AF_INET6 if ":" in settings.http.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.http.host, settings.http.port))
        except OSError:
            return False
    return True


async def _get(url: str) -> dict[str, Any] | None:
    """Return the JSON object there, None if there is none."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname = False  # we ask for an address, the certificate is for a name;
    unchecked.verify_mode = ssl.CERT_NONE  # and who answers proves itself by its keys
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASK_S)) as session,
            session.get(url, ssl=unchecked) as answer,
        ):
            found = await answer.json()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _same_keys(found: dict[str, Any], ring: KeyRing) -> bool:
    # Not all of them: a gateway takes a second to learn of a rotation.
    ours = {key["kid"] for key in ring.public_jwks()["keys"]}
    return not ours.isdisjoint(key["kid"] for key in found.get("keys", ()))
