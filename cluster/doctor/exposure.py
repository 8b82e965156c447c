"""Checks of listening addresses: no server without a password may be within a stranger's reach."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psutil

from cluster.doctor.finding import Finding, failed, ok
from cluster.settings import Settings

_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 -- compared
_LOCAL: Final = ("localhost", "ip6-localhost")


def judge_exposure(open_places: Iterable[tuple[str, str]]) -> Finding:
    """Find servers that serve anybody, at addresses that anybody reaches.

    Args:
        open_places: Name and ``host:port`` of what serves who brings no password.
    """
    places = list(open_places)
    heard = _listeners()
    exposed = []
    for name, place in places:
        host, _, port = place.rpartition(":")
        listening = heard.get(int(port), []) if is_here(host) else []
        where = next((each for each in listening if each in _ANYWHERE or _public(each)), None)
        where = where or (host if _public(host) else None)
        if where is not None:
            bare = where.strip("[]")
            exposed.append((name, f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"))
    if not exposed:
        return ok("exposed ports", "nothing that needs no password listens where strangers are")
    names = " and ".join(dict.fromkeys(name for name, _ in exposed))
    shown = ", ".join(f"{name} at {place}" for name, place in exposed)
    asked = "set a password"
    if "ray" in dict(exposed):
        asked += " (Ray: RAY_AUTH_MODE=token on every node, with one token)"
    return failed(
        "exposed ports",
        f"without a password: {shown}",
        f"Let {names} listen on 127.0.0.1 or a private address only, behind a firewall, or {asked}.",
    )


def is_here(host: str) -> bool:
    """Return whether this is an address of this machine."""
    bare = host.strip("[]")
    return bare in _LOCAL or any(
        each.address.partition("%")[0] == bare for card in psutil.net_if_addrs().values() for each in card
    )


def rays_place(address: str | None) -> Sequence[tuple[str, str]]:
    """Return Ray's place if it asks for no token: then whoever reaches it runs code here."""
    if address is None or ":" not in address:
        return []
    if is_here(address.rpartition(":")[0]):
        port = int(address.rpartition(":")[2])
        if any(_asks_for_token(pid) for pid in _listening_pids(port)):
            return []
    return [("ray", address)]


def who_listens(port: int) -> str:
    """Return the name of who listens on this port of this machine, as far as we may know."""
    for pid in _listening_pids(port):
        try:
            return f"{psutil.Process(pid).name()} (process {pid})"
        except psutil.Error:
            return f"process {pid}"
    return "someone else"


def judge_listen(settings: Settings) -> Finding | None:
    """Whether the roles of a cluster can reach each other; None for one machine."""
    cluster = settings.cluster
    if cluster.address is None:
        return None
    if cluster.listen in ("127.0.0.1", "::1", *_LOCAL):
        return failed(
            "links",
            f"roles listen on {cluster.listen}, and those of other nodes cannot reach them",
            "Set ROOST_CLUSTER__LISTEN=node, for the node's address.",
        )
    return ok("links", f"roles listen on {cluster.listen}")


def _public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return False


def _connections() -> list[Any]:
    try:
        return [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        return []


def _listeners() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for each in _connections():
        found.setdefault(each.laddr.port, []).append(each.laddr.ip)
    return found


def _listening_pids(port: int) -> list[int]:
    return [each.pid for each in _connections() if each.laddr.port == port and each.pid is not None]


def _asks_for_token(pid: int) -> bool:
    try:
        return psutil.Process(pid).environ().get("RAY_AUTH_MODE") == "token"
    except psutil.Error:
        return False
