"""Passwords of the embedded servers: one file each in the data folder, made at the first start.

A server on loopback is within reach of every user of the machine; a file of mode 0600 is not. The roles, the
other verbs and whoever looks into a server by hand read them there.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final

from cluster.settings import KafkaSecurity, Security, Settings
from roost.private_folders import make_closed

USER: Final = "roost"
"""Who signs in to each embedded server."""

MECHANISM: Final = "SCRAM-SHA-256"
"""How, at the embedded broker: a stranger who took its port meanwhile learns no password from it."""

_BYTES: Final = 32


def file_of(data: Path, server: str) -> Path:
    """Return the file with the password of ``kafka``, ``mongo`` or ``redis``."""
    return data / "passwords" / server


def made(data: Path, server: str) -> Path:
    """Return the file with the server's password; it is made if it is not there.

    Raises:
        OSError: The folder cannot be written, or is another user's.
    """
    file = file_of(data, server)
    make_closed(file.parent)
    if not file.exists():
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(secrets.token_hex(_BYTES) + "\n")
        draft.rename(file)
    return file


def security(settings: Settings, server: str) -> Security:
    """Return the settings that a client of this embedded server needs."""
    given: dict[str, Any] = {"user": USER, "password_file": file_of(settings.data, server)}
    files = settings.node.embedded_files
    if files is not None:
        given |= dict(zip(("ca", "certificate", "key"), files, strict=True))
    if server == "kafka":
        return KafkaSecurity(**given, mechanism=MECHANISM, tls=files is not None)
    return Security(**given)
