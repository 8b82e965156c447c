"""A whole system with TLS on every hop: every port of roles, servers and Ray refuses strangers."""

import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bson
import psutil
import pytest

from cluster.local.servers import free_port
from roost.cli.launch import RoostUp
from roost.own_packages import program
from tests.certificates import Issued
from tests.encrypted import variables

HOST = "127.0.0.1"
_WAIT_S = 1.0
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
"""How a client of gRPC begins."""

_TOLD = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
"""What Go's library answers to HTTP in the clear, and closes."""

_ALERT = b"\x15"
"""First byte of an alert of TLS."""


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Issued(tmp_path_factory.mktemp("ca") / "certs")


@pytest.fixture(scope="module")
def up(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoostUp]:
    folder = tmp_path_factory.mktemp("system")
    env = variables(issued) | {"ROOST_TELEMETRY__METRICS_PORT": str(free_port())}
    system = RoostUp(folder / "data", folder / "up.log", env=env)
    yield system.start()
    system.stop_in_order()


def ports_of_ours(up: RoostUp) -> dict[int, str]:
    """Return each TCP port that something of the system listens on, with the process's name."""
    return {
        each.laddr.port: process.name()
        for process in psutil.Process(up.child.pid).children(recursive=True)
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }


def port_of(up: RoostUp, name: str) -> int:
    """Return the port that the ready line names."""
    return urlsplit(f"//{up.ready[name].rpartition('//')[2]}").port or 0


def bson_ping() -> bytes:
    """Return a whole request of MongoDB's."""
    body = struct.pack("<IB", 0, 0) + bson.encode({"ping": 1, "$db": "admin"})
    return struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body


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


_GREETINGS = {
    "HTTP": b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
    "gRPC": _HTTP2,
    "Redis": b"PING\r\n",
    "Kafka": struct.pack(">ihhih", 10, 18, 0, 1, -1),
    "MongoDB": bson_ping(),
}


@pytest.mark.attack("plaintext to every port of roles, servers and Ray")
def test_every_port_refuses_plaintext(up: RoostUp) -> None:
    ports = ports_of_ours(up)
    assert len(ports) >= 9, f"the API, links, metrics, servers, and Ray's: {ports}"
    for port, name in ports.items():
        for protocol, words in _GREETINGS.items():
            said = said_to(port, words)
            cleartext = said[:1] not in (b"", _ALERT) and not said.startswith(_TOLD)
            assert not cleartext, f"{name} at {port} answers {said[:40]!r} to {protocol}"


def asking() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def spoken(port: int, context: ssl.SSLContext) -> Any:
    """Shake hands; returns whether what is behind the port goes on after that."""
    with socket.create_connection((HOST, port), _WAIT_S) as plain, context.wrap_socket(plain) as talk:
        try:
            talk.sendall(_HTTP2)
            return talk.recv(1) != b""
        except TimeoutError:
            return True
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.mark.attack("no certificate, or one of another CA, to every port between roles, servers and Ray")
@pytest.mark.parametrize("who", ["no certificate", "another CA"])
def test_every_port_between_nodes_refuses_strangers(
    up: RoostUp, issued: Issued, tmp_path: Path, who: str
) -> None:
    stranger, own = asking(), asking()
    own.load_cert_chain(*issued.pair("node"))
    if who == "another CA":
        stranger.load_cert_chain(*Issued(tmp_path / "other").pair("node", HOST))
    servers = [port_of(up, name) for name in ("kafka", "mongo", "redis")]  # which do not like HTTP
    for_anyone = port_of(up, "http"), port_of(up, "fcm")  # these are believed, and believe other proofs
    for port, name in ports_of_ours(up).items():
        if port not in for_anyone:
            assert not spoken(port, stranger), f"{name} at {port} goes on with a stranger"
            assert spoken(port, own) or port in servers, f"{name} at {port} refuses a node"
