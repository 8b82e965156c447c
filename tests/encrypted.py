"""TLS on every hop of whatever a command starts: ``python -m tests.encrypted COMMAND ...``.

A CA of the moment makes the certificates, and the command gets variables that name them: the settings of
Roost, and OpenSSL's own, so that clients believe that CA. In a run of pytest, servers of single tests and
those who ask them follow (`TLS`).
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cluster.certificates import Purpose
from cluster.local import specs
from cluster.local.server_tls import ServerTls
from cluster.settings import Settings
from storage.access import OPEN
from tests.certificates import Issued

HOST = "127.0.0.1"


def variables(issued: Issued) -> dict[str, str]:
    """Make certificates, and return what names them."""
    node = issued.pair("node", HOST)
    api = issued.pair("api", HOST, "localhost", purpose=Purpose.SERVER)
    named = {
        "ROOST_NODE__CA": issued.ca,
        "ROOST_NODE__CERTIFICATE": node[0],
        "ROOST_NODE__KEY": node[1],
        "ROOST_TLS__CERTIFICATE": api[0],
        "ROOST_TLS__KEY": api[1],
        "SSL_CERT_FILE": issued.ca,
    }
    return {name: str(path) for name, path in named.items()} | {"ROOST_NODE__EMBEDDED": "true"}


def _adopted() -> ServerTls | None:
    """Let servers that tests start speak TLS, if this process was started so, and who asks them, too."""
    tls = ServerTls.of(Settings.load())
    if tls is None:
        return None
    tls.mongod(_pem(tls))  # key and certificate in one file, as pymongo wants them, too
    for maker in (specs.kfake, specs.mongo, specs.redis):
        defaults: dict[str, Any] = maker.__kwdefaults__
        defaults["tls"] = tls
    for name, value in {"tls": True, **tls._asdict()}.items():
        object.__setattr__(OPEN, name, value)  # the default of every client
    return tls


def for_any_client(url: str) -> str:
    """Return the URL of a store so that a client that is told nothing else shows the certificate."""
    return url if TLS is None else f"{url}&tlsCAFile={TLS.ca}&tlsCertificateKeyFile={_pem(TLS)}"


def _pem(tls: ServerTls) -> Path:
    return tls.key.with_name("pair.pem")


TLS = _adopted()
"""What the servers of this run of tests speak it with, None if they do not."""


def main() -> int:
    """Run the command; returns its exit status."""
    with tempfile.TemporaryDirectory(prefix="roost-tls-") as folder:
        named = variables(Issued(Path(folder) / "certs")).items()
        command = ("env", *(f"{name}={value}" for name, value in named), *sys.argv[1:])
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
