"""Keystores of a client's profile: in memory, or in one file that only its user can read."""

import fcntl
import os
from pathlib import Path
from typing import Protocol

import msgspec

from roost.client.state import Profile

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Profile).decode


class KeystoreInUse(ValueError):  # noqa: N818 - a state of the keystore
    """Another client uses this keystore: two of one device would end each other's session."""


class Keystore(Protocol):
    """Keeps one profile, for one client at a time.

    ``save`` is atomic: after a crash there is the old profile or the new one. When it returns,
    the profile survives what the implementation promises to survive.
    """

    def lock(self) -> None:
        """Claim the keystore until ``unlock``; the claim ends with the process that made it.

        Raises:
            KeystoreInUse: Another client has it, in this process or in any that can reach the keystore.
        """
        ...

    def unlock(self) -> None:
        """Let another client have the keystore; without a claim it does nothing."""
        ...

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
        self._locked = False

    def lock(self) -> None:
        """Claim it within this process: no other one can reach it."""
        if self._locked:
            raise KeystoreInUse("another client uses this keystore: close it first")
        self._locked = True

    def unlock(self) -> None:
        """Let another client have it."""
        self._locked = False

    def load(self) -> Profile | None:
        """Return the profile itself, with all changes made since."""
        return self._profile

    def save(self, profile: Profile) -> None:
        """Remember the profile by reference."""
        self._profile = profile


class FileKeystore:
    """Keeps the profile in a JSON file of mode 0600, replaced atomically and forced to disk.

    Private keys and undelivered messages stand in it unencrypted: it is as safe as the
    account that owns it. A file beside it, which stays, carries the lock.

    Args:
        path: The file; missing folders are made with mode 0700.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def lock(self) -> None:
        """Lock the file beside it; the kernel ends the lock with the process."""
        if self._lock is not None:
            raise self._in_use()
        self._make_folder()
        place = self.path.resolve()
        handle = os.open(place.with_name(place.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(handle)
            raise self._in_use() from exc
        except BaseException:
            os.close(handle)
            raise
        self._lock = handle

    def unlock(self) -> None:
        """Close the locked file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> Profile | None:
        """Read the file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        return _decode(data)

    def save(self, profile: Profile) -> None:
        """Write a new file beside the old one, force it to disk, and put it in its place."""
        self._make_folder()
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

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _in_use(self) -> KeystoreInUse:
        return KeystoreInUse(
            f"{self.path} is in use by another client: close that first, or sign in as another device with a "
            "keystore of its own"
        )
