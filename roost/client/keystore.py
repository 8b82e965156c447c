"""Keystores of a client's profile: in memory, or in one file that only its user can read."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from roost.client.state import Profile

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Profile).decode


class Keystore(Protocol):
    """Keeps one profile.

    ``save`` is atomic: after a crash there is the old profile or the new one. When it returns,
    the profile survives what the implementation promises to survive.
    """

    def load(self) -> Profile | None:
        """Return what was saved, ``None`` if nothing was.

        Raises:
            ValueError: What was saved cannot be read.
        """
        ...

    def save(self, profile: Profile) -> None:
        """Keep this profile instead of the one before."""
        ...


class MemoryKeystore:
    """Keeps the profile as long as the process lives; saving costs nothing."""

    def __init__(self) -> None:
        self._profile: Profile | None = None

    def load(self) -> Profile | None:
        """Return the profile itself, with all changes made since."""
        return self._profile

    def save(self, profile: Profile) -> None:
        """Remember the profile by reference."""
        self._profile = profile


class FileKeystore:
    """Keeps the profile in a JSON file of mode 0600, replaced atomically and forced to disk.

    Private keys and undelivered messages stand in it unencrypted: it is as safe as the
    account that owns it.

    Args:
        path: The file; missing folders are made with mode 0700.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Profile | None:
        """Read the file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        return _decode(data)

    def save(self, profile: Profile) -> None:
        """Write a new file beside the old one, force it to disk, and put it in its place."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_encode(profile))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
