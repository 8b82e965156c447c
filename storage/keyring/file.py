"""The key ring's file: replaced whole or not at all, for its owner only, sealed if there is a master key."""

import base64
import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from roost.owners import name_of
from storage.keyring.keys import KEY_BYTES, PURPOSES, FirstLayout, Secrets

_CONTEXT: Final = b"roost key ring"


class KeyRingError(Exception):
    """The key ring file cannot be used; the sentence says why and what to do."""


Master = Callable[[], bytes]
"""Returns the master key; it may take its time, and raises `KeyRingError`."""


class Envelope(Struct, frozen=True):
    """The file of a ring that a master key seals.

    Attributes:
        sealed: Nonce and ciphertext of the JSON of `Secrets`.
        master: Tells one master key from another.
    """

    sealed: bytes
    master: str


class _Version(Struct, frozen=True):
    version: int


class RingFile:
    """Where a ring is kept.

    Args:
        path: The file.
        master: Gives the key that seals it; None: it is not sealed.
    """

    def __init__(self, path: Path, master: Master | None = None) -> None:
        self.path = path
        self._master = master

    def read(self) -> Secrets:
        """Return what is in the file.

        Raises:
            KeyRingError: There is no such file, others can read it, it is no key ring, or the master key does
                not open it.
        """
        content = _content(self.path)
        try:
            found: object = msgspec.json.decode(content)
        except ValueError as exc:
            raise self._no_ring(exc) from exc
        if isinstance(found, dict) and "sealed" in found:
            content = self._opened(content)
        elif self._master is not None:
            raise KeyRingError(
                f"The key ring {self.path} is not sealed, though there is a master key: whoever can write "
                "the file could have put in keys of their own. If it is yours: roost keys seal"
            )
        return self._decoded(content)

    def write(self, content: Secrets, *, replace: bool = True) -> None:
        """Write the file so that it is there whole or not at all, and stays after a power cut.

        Raises:
            KeyRingError: The master key cannot be had, or the file that is there is another user's.
        """
        self._refuse_anothers()
        plain = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        if self._master is not None:
            key = self._master()
            envelope = Envelope(bytes(Aead(key).encrypt(plain, _CONTEXT)), _name_of(key))
            plain = msgspec.json.encode(envelope) + b"\n"
        _publish(self.path, plain, replace=replace)

    def change(self, changed: Callable[[Secrets], Secrets]) -> Secrets:
        """Replace the ring by what the function makes of it, with no other process in between.

        Raises:
            KeyRingError: As `read`; or the new ring lacks a key of the old one.
        """
        with self._locked():
            before = self.read()
            after = changed(before)
            if lost := after.lacks(before):
                raise KeyRingError(f"The new key ring would lack {', '.join(lost)}; nothing was changed.")
            self.write(after)
        return after

    def _refuse_anothers(self) -> None:
        """Refuse to replace a file of another user, who could not read the new one."""
        if self.path.exists() and (owner := self.path.stat().st_uid) != os.geteuid():
            raise KeyRingError(
                f"The key ring {self.path} belongs to the user {name_of(owner)}, who could not read it "
                "afterwards. Run this as that user."
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes of this machine from changing the file meanwhile."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as exc:
            raise _unreadable(self.path, exc) from exc
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def look(self) -> tuple[int, int, int] | None:
        """Return what changes when the file is replaced, None if it is not there."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _opened(self, content: bytes) -> bytes:
        try:
            envelope = msgspec.json.decode(content, type=Envelope)
        except ValueError as exc:
            raise self._no_ring(exc) from exc
        if self._master is None:
            raise KeyRingError(
                f"The key ring {self.path} is sealed by a master key. Name where that is with one of "
                "ROOST_KEYRING__MASTER_FILE, _MASTER_ENV, _MASTER_COMMAND."
            )
        key = self._master()
        if envelope.master != _name_of(key):
            raise KeyRingError(
                f"The key ring {self.path} is sealed by another master key ({envelope.master}, not "
                f"{_name_of(key)})."
            )
        try:
            return bytes(Aead(key).decrypt(envelope.sealed, _CONTEXT))
        except (CryptoError, ValueError) as exc:
            raise KeyRingError(f"The key ring {self.path} was altered. Restore it from a backup.") from exc

    def _decoded(self, content: bytes) -> Secrets:
        try:
            first = msgspec.json.decode(content, type=_Version).version == 1
            if first:
                ring = msgspec.json.decode(content, type=FirstLayout).converted()
            else:
                ring = msgspec.json.decode(content, type=Secrets)
            ring = ring.completed()
        except msgspec.MsgspecError as exc:
            raise self._no_ring(exc) from exc
        except ValueError as exc:
            raise self._damaged() from exc
        self._check(ring)
        return ring

    def _check(self, ring: Secrets) -> None:
        lengths = {len(key.secret) for key in ring.keys} - {0}
        alive = {key.purpose for key in ring.keys if key.secret}
        if (
            lengths != {KEY_BYTES}
            or alive != set(PURPOSES)
            or len({key.id for key in ring.keys}) < len(ring.keys)
        ):
            raise self._damaged()

    def _damaged(self) -> KeyRingError:
        return KeyRingError(f"{self.path} is damaged: a key is missing or short. Restore it from a backup.")

    def _no_ring(self, why: Exception) -> KeyRingError:
        return KeyRingError(f"{self.path} is not a key ring ({why}). Restore it from a backup.")


def _content(path: Path) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    if mode & 0o077:
        raise KeyRingError(f"The key ring {path} can be read by others. Fix it with: chmod 600 {path}")
    return content


def _unreadable(path: Path, why: OSError) -> KeyRingError:
    return KeyRingError(f"The key ring {path} cannot be read: {why.strerror}.")


def _name_of(master: bytes) -> str:
    """Return what tells one master key from another, and nothing about it."""
    return blake2b(b"", digest_size=4, key=master, person=b"roost master").hexdigest()


def _publish(path: Path, content: bytes, *, replace: bool) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(draft, path, replace=replace)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _put_in_place(draft: Path, path: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(path)
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return  # another process was first; its ring is the one


def master_from(text: str, source: str) -> bytes:
    """Return a master key from its text: 32 bytes in base64 or hexadecimal.

    Raises:
        KeyRingError: It is no such key.
    """
    bare = "".join(text.split())
    with contextlib.suppress(ValueError):
        key = (
            bytes.fromhex(bare)
            if len(bare) == 2 * KEY_BYTES
            else base64.b64decode(bare + "==", altchars=None)
        )
        if len(key) == KEY_BYTES:
            return key
    raise KeyRingError(
        f"The master key from {source} is not 32 bytes in base64. Make one with: openssl rand -base64 32"
    )
