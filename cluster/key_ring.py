"""The key ring of an installation, by its settings: where it is, what seals it, how keys are replaced."""

import shlex
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cluster.settings import Settings, variable
from roost.clock import Clock, now_ms
from storage.keyring import KeyRing, KeyRingError, Master, Purpose, RingFile, Secrets, master_from

_COMMAND_S: Final = 30.0
_LEAD_S: Final = 5.0
_LEAD_OF_MACHINES_S: Final = 900.0
_SKEW_MS: Final = 60_000
_LINKS_KEPT_MS: Final = 24 * 3600 * 1000


def master_of(settings: Settings) -> Master | None:
    """Return what gives the master key, None if the ring is not sealed."""
    ring = settings.keyring
    if (path := ring.master_file) is not None:
        return master_in(path)
    if (name := ring.master_env) is not None:
        return lambda: _from_variable(name)
    if (command := ring.master_command) is not None:
        return lambda: _from_command(command)
    return None


def master_in(path: Path) -> Master:
    """Return what gives the master key that is in a file."""
    return lambda: _from_file(path)


def file_of(settings: Settings) -> RingFile:
    """Return where the ring is kept."""
    return RingFile(settings.keyring_file, master_of(settings))


def make(settings: Settings, clock: Clock = now_ms) -> KeyRing:
    """Read the key ring; at the first start of an installation make it. For the command that starts it."""
    return KeyRing.load_or_create(settings.keyring_file, clock, master_of(settings))


def load(settings: Settings) -> KeyRing:
    """Read the key ring, which every machine of an installation has the same."""
    return KeyRing.load(settings.keyring_file, master_of(settings))


def lead_ms(settings: Settings) -> int:
    """Return how long a new key waits for its turn."""
    several = settings.cluster.address is not None
    lead_s = settings.keyring.lead_s
    if lead_s is None:
        lead_s = _LEAD_OF_MACHINES_S if several else _LEAD_S
    return round(lead_s * 1000)


def rotate(settings: Settings, purposes: Iterable[Purpose], now: int, in_ms: int | None = None) -> Secrets:
    """Put a new key for each purpose into the file, and return what it has now.

    Raises:
        KeyRingError: The file cannot be used.
        RotationRefused: A new key is waiting for its turn.
    """
    lead = lead_ms(settings) if in_ms is None else in_ms
    tokens = settings.tokens
    kept_ms: dict[Purpose, int] = {
        "token": tokens.access_s * 1000 + _SKEW_MS,  # until the last token that it signed has expired
        "refresh": tokens.refresh_s * 1000
        + _SKEW_MS,  # a reply that was lost may be asked for as late as that
        "link": _LINKS_KEPT_MS,
    }
    return file_of(settings).change(lambda ring: ring.rotated(purposes, now, in_ms=lead, kept_ms=kept_ms))


def _from_file(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise KeyRingError(f"The master key {path} cannot be read: {exc}.") from exc
    if mode & 0o077:
        raise KeyRingError(f"The master key {path} can be read by others. Fix it with: chmod 600 {path}")
    return master_from(text, str(path))


def _from_variable(name: str) -> bytes:
    text = variable(name)
    if text is None:
        raise KeyRingError(f"The environment variable {name}, which has the master key, is not set here.")
    return master_from(text, f"the environment variable {name}")


def _from_command(command: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 -- the operator's own command, without a shell
            shlex.split(command), capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
        # Not the exception's text: it may hold what the command printed.
        raise KeyRingError(f"The command for the master key did not run ({type(exc).__name__}).") from None
    if done.returncode:
        raise KeyRingError(
            f"The command for the master key failed with exit code {done.returncode}: "
            f"{done.stderr.strip()[:200]}"
        )
    return master_from(done.stdout, "its command")
