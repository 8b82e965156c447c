"""Checks before the start: what is free on this machine, and what is installed."""

import socket
from importlib.util import find_spec

import structlog

from cluster.local.servers import reserved_port
from cluster.settings import Settings, url_host
from telemetry import otlp

log = structlog.get_logger()


class Door:
    """Where clients will connect: kept for the gateways of one system, from its start on.

    Gateways share the port (SO_REUSEPORT): until the first one listens, the kernel would give it to those
    of a second system as well, and then spread the clients over both.

    Args:
        host: Address of this machine.
        port: 0 for any free one.

    Raises:
        OSError: Someone listens there, another system has it, or the address is not ours.
    """

    def __init__(self, host: str, port: int) -> None:
        self._kept = reserved_port(host, port)
        self.port: int = self._kept.getsockname()[1]
        self._claim = socket.socket(socket.AF_UNIX)
        try:
            # A name of the network namespace, as the port is; it goes with the process, however that ends.
            self._claim.bind(f"\0roost {url_host(host)}:{self.port}")
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let others have it."""
        self._claim.close()
        self._kept.close()


class StartRefused(Exception):  # noqa: N818 -- named for what happened
    """The system cannot run with these settings; the sentence says what to change."""


def check(settings: Settings) -> Door:
    """Return the port that clients will connect to, kept for every gateway.

    Raises:
        StartRefused: That port is taken, an address is not one of this machine, something is not installed.
    """
    door = _door(settings.http.host, settings.http.port)
    try:
        _check_others(settings)
    except StartRefused:
        door.close()
        raise
    return door


def _check_others(settings: Settings) -> None:
    if settings.cluster.listen != "node":
        _check_address("ROOST_CLUSTER__LISTEN", settings.cluster.listen)
    if settings.telemetry.metrics_port:
        _check_address("ROOST_TELEMETRY__METRICS_HOST", settings.telemetry.metrics_host)
    if settings.telemetry.traces_url is not None and not otlp.can_trace():
        raise StartRefused(
            "ROOST_TELEMETRY__TRACES_URL is set: install what it needs, pip install 'roost[otel]'."
        )
    if settings.cluster.dashboard_port and find_spec("opencensus") is None:
        raise StartRefused(
            "ROOST_CLUSTER__DASHBOARD_PORT is set: install what Ray's dashboard needs, "
            "pip install 'ray[default]'."
        )


def free_metrics_address(settings: Settings) -> str | None:
    """Return where the metrics of this node will be; None: nowhere, or not before someone else lets go."""
    from telemetry.exporter import PATH  # noqa: PLC0415 -- takes long to load, and is not needed before

    host, port = settings.telemetry.metrics_host, settings.telemetry.metrics_port
    if not port:
        return None
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as exc:
        log.warning("metrics_port_taken", host=host, port=port, reason=str(exc))
        return None
    scheme = "http" if settings.node.files is None else "https"
    return f"{scheme}://{url_host(host)}:{port}{PATH}"


def _door(host: str, port: int) -> Door:
    """Find out now what every gateway would find out later."""
    try:
        return Door(host, port)
    except OSError as exc:
        raise StartRefused(
            f"{host}:{port} is not available ({exc.strerror}). "
            "Choose another port with --port, or another address with ROOST_HTTP__HOST."
        ) from exc


def _check_address(setting: str, host: str) -> None:
    try:
        reserved_port(host).close()
    except OSError as exc:
        raise StartRefused(f"{setting}={host} is no address of this machine ({exc.strerror}).") from exc


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
