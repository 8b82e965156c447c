"""A whole system whose node has a certificate: every port of its roles and of Ray speaks TLS only."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.certificates import Purpose
from cluster.local.servers import free_port
from roost.cli.launch import RoostUp
from roost.own_packages import program
from tests.certificates import Issued

HOST = "127.0.0.1"
_SERVERS = ("kafka", "mongo", "redis", "fcm")
_WAIT_S = 1.0
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
"""How a client of gRPC begins."""

_ALERT = b"\x15"
"""First byte of an alert of TLS."""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Issued(tmp_path_factory.mktemp("ca") / "certs")


@pytest.fixture(scope="module")
def up(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoostUp]:
    folder = tmp_path_factory.mktemp("system")
    node, api = issued.pair("node", HOST), issued.pair("api", HOST, purpose=Purpose.SERVER)
    settings = {
        "ROOST_NODE__CA": issued.ca,
        "ROOST_NODE__CERTIFICATE": node[0],
        "ROOST_NODE__KEY": node[1],
        "ROOST_TLS__CERTIFICATE": api[0],
        "ROOST_TLS__KEY": api[1],
        "ROOST_TELEMETRY__METRICS_PORT": free_port(),
    }
    system = RoostUp(
        folder / "data", folder / "up.log", env={name: str(value) for name, value in settings.items()}
    )
    yield system.start()
    system.stop_in_order()


def ports_of_ours(up: RoostUp) -> dict[int, str]:
    """Return each TCP port that a role or a daemon of Ray's listens on, with the process's name."""
    servers = {int(up.ready[name].removesuffix("/0").rpartition(":")[2]) for name in _SERVERS}
    found = {}
    for process in psutil.Process(up.child.pid).children(recursive=True):
        for each in process.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port not in servers:
                found[each.laddr.port] = process.name()
    return found


def said_to(port: int, words: bytes) -> bytes:
    """Return what a port answers to some bytes, within a second."""
    with socket.create_connection((HOST, port), _WAIT_S) as talk:
        talk.sendall(words)
        try:
            return talk.recv(4096)
        except (TimeoutError, ConnectionError):
            return b""


def test_the_demo_holds(up: RoostUp, issued: Issued) -> None:
    words = ("demo", "--server", up.ready["http"], "--fcm", up.ready["fcm"], "--ca", str(issued.ca))
    told = subprocess.run(
        [*program("roost"), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.attack("plaintext to every port of roles and of Ray")
def test_every_port_refuses_plaintext(up: RoostUp) -> None:
    ports = ports_of_ours(up)
    assert len(ports) >= 5, f"the API, links, metrics, and Ray's: {ports}"
    for port, name in ports.items():
        for words in (b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", _HTTP2):
            said = said_to(port, words)
            assert said[:1] in (b"", _ALERT), f"{name} at {port} answers {said[:40]!r}"


def asking() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def spoken(port: int, context: ssl.SSLContext) -> Any:
    """Shake hands; returns whether what is behind the port goes on after that."""
    with socket.create_connection((HOST, port), _WAIT_S) as plain, context.wrap_socket(plain) as talk:
        talk.sendall(_HTTP2)
        try:
            return talk.recv(1) != b""
        except TimeoutError:
            return True
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.mark.attack("no certificate, or one of another CA, to every port between nodes")
@pytest.mark.parametrize("who", ["no certificate", "another CA"])
def test_every_port_between_nodes_refuses_strangers(
    up: RoostUp, issued: Issued, tmp_path: Path, who: str
) -> None:
    stranger, own = asking(), asking()
    own.load_cert_chain(*issued.pair("node"))
    if who == "another CA":
        stranger.load_cert_chain(*Issued(tmp_path / "other").pair("node", HOST))
    api = int(up.ready["http"].rpartition(":")[2])
    for port, name in ports_of_ours(up).items():
        if port != api:
            assert not spoken(port, stranger), f"{name} at {port} goes on with a stranger"
            assert spoken(port, own), f"{name} at {port} refuses a node"
