"""Fetches and builds the servers that `make media-test` runs: python -m tests.buckets.install.

versitygw (S3) and fake-gcs-server (GCS) are Go, and built as the embedded broker is; Azurite (Azure) comes
from npm. The versions are in ``servers/``, each with its hash. What is there already takes seconds.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from api.web.build import node
from broker.build import environment, go

SERVERS: Final = Path(__file__).with_name("servers")
BINARIES: Final = SERVERS / "bin"
AZURITE: Final = SERVERS / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"

_BUILD_S: Final = 1800
_PROGRAMS: Final = ("github.com/versity/versitygw/cmd/versitygw", "./gcs")


def build() -> None:
    """Build the servers that are Go."""
    with go() as found:
        flags = ("-trimpath", "-ldflags=-s -w")
        _run([str(found), "build", *flags, "-o", f"{BINARIES}/", *_PROGRAMS], environment())


def fetch() -> None:
    """Fetch the one that is JavaScript, without what its packages would run at their installation."""
    lock = (SERVERS / "package-lock.json").read_bytes()
    stamp, wanted = SERVERS / "node_modules" / ".lock", hashlib.sha256(lock).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        path = os.environ | {"PATH": node()}  # noqa: TID251 -- for npm; no setting of Roost is read here
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], path)
        stamp.write_text(wanted)


def _run(command: list[str], env: dict[str, str]) -> None:
    subprocess.run(command, cwd=SERVERS, env=env, check=True, timeout=_BUILD_S)


if __name__ == "__main__":
    sys.stdout.write("Building and fetching the servers of buckets (minutes at the first time)\n")
    sys.stdout.flush()
    build()
    fetch()
