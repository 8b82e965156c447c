"""Checks before the start: what is free on this machine, and what is installed."""

import socket
from importlib.util import find_spec

import structlog

from cluster.settings import Settings, Telemetry, url_host
from telemetry import otlp

log = structlog.get_logger()


class StartRefused(Exception):  # noqa: N818 -- named for what happened
    """The system cannot run with these settings; the sentence says what to change."""


def check(settings: Settings) -> Settings:
    """Return the settings with the port that clients will connect to.

    Raises:
        StartRefused: That port is taken, or something is not installed.
    """
    changed = settings.changed({"http": {"port": _free_port(settings.http.host, settings.http.port)}})
    if settings.telemetry.traces_url is not None and not otlp.can_trace():
        raise StartRefused(
            "ROOST_TELEMETRY__TRACES_URL is set: install what it needs, pip install 'roost[otel]'."
        )
    if settings.cluster.dashboard_port and find_spec("opencensus") is None:
        raise StartRefused(
            "ROOST_CLUSTER__DASHBOARD_PORT is set: install what Ray's dashboard needs, "
            "pip install 'ray[default]'."
        )
    return changed


def free_metrics_address(telemetry: Telemetry) -> str | None:
    """Return where the metrics of this node will be; None: nowhere, or not before someone else lets go."""
    from telemetry.exporter import PATH  # noqa: PLC0415 -- takes long to load, and is not needed before

    host, port = telemetry.metrics_host, telemetry.metrics_port
    if not port:
        return None
    try:
        socket.create_server((host, port), family=_family(host)).close()
    except OSError as exc:
        log.warning("metrics_port_taken", host=host, port=port, reason=str(exc))
        return None
    return f"http://{url_host(host)}:{port}{PATH}"


def _free_port(host: str, port: int) -> int:
    """Find out now what every gateway would find out later."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise StartRefused(
                f"{host}:{port} is not available ({exc.strerror}). Choose another port with --port."
            ) from exc
        found: int = probe.getsockname()[1]
        return found


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
