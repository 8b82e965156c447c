"""The key ring: one file with every secret of the installation, and the operations on them.

Sealed values are XChaCha20-Poly1305 with the key's id inside and ``collection|id|field`` as
associated data, so a value moved to another row or field does not open. What must be found by
equality has a keyed BLAKE2b blind index beside it.

A sealed value is: version (1 byte), length of the key id (1 byte), key id, nonce (24 bytes),
ciphertext with tag.
"""

import base64
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.secret import Aead
from nacl.signing import SigningKey

from roost.clock import Clock

_SEALED_VERSION: Final = 1
_KEY_BYTES: Final = 32
_REFRESH_PREFIX: Final = "rr1"


class KeyRingError(Exception):
    """The key ring file cannot be used; the sentence says why and what to do."""


class SealBroken(Exception):  # noqa: N818 -- named for what happened
    """A sealed value does not open: it was altered, moved to another row, or its key is gone."""


class StorageKey(Struct, frozen=True):
    """A key that seals fields; old ones are kept as long as values name them."""

    id: str
    key: bytes
    created_at_ms: int


class TokenKey(Struct, frozen=True):
    """An Ed25519 key that signs access tokens: ``seed`` is its 32-byte private half."""

    kid: str
    seed: bytes
    created_at_ms: int


class Secrets(Struct, frozen=True):
    """What the file holds, as JSON; binary values in base64.

    Attributes:
        storage: Keys that seal fields.
        current: Id of the storage key that seals new values.
        tokens: Keys that verify access tokens; the last one signs.
        index: Key of the blind index. It cannot be rotated without rewriting every index.
        refresh: Key from which refresh tokens are derived.
        cluster: Secret that roles prove to each other on their links.
        version: Layout of this file.
    """

    storage: tuple[StorageKey, ...]
    current: str
    tokens: tuple[TokenKey, ...]
    index: bytes
    refresh: bytes
    cluster: bytes
    version: int = 1


class KeyRing:
    """The secrets, read once, and the operations on them. It never changes after it is made.

    Attributes:
        secrets: The file's content.
    """

    __slots__ = ("_boxes", "secrets")

    def __init__(self, content: Secrets) -> None:
        self.secrets = content
        self._boxes = {key.id: Aead(key.key) for key in content.storage}

    def __repr__(self) -> str:
        return f"KeyRing(current={self.secrets.current!r})"

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Read the key ring.

        Raises:
            KeyRingError: There is no such file, others can read it, or it is no key ring.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            content = path.read_bytes()
        except OSError as exc:
            raise KeyRingError(f"The key ring {path} cannot be read: {exc.strerror}.") from exc
        if mode & 0o077:
            raise KeyRingError(f"The key ring {path} can be read by others. Fix it with: chmod 600 {path}")
        return cls(_decode(path, content))

    @classmethod
    def load_or_create(cls, path: Path, clock: Clock) -> "KeyRing":
        """Read the key ring, or make one at the first start; of many at once exactly one makes it."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _publish(path, fresh_secrets(clock()), replace=False)
        return cls.load(path)

    def rotated(self, now_ms: int) -> "KeyRing":
        """Return a ring with a new storage key and a new signing key; the old ones still open and verify."""
        old = self.secrets
        storage, token = _storage_key(now_ms), _token_key(now_ms)
        return KeyRing(
            msgspec.structs.replace(
                old, storage=(*old.storage, storage), current=storage.id, tokens=(*old.tokens, token)
            )
        )

    def save(self, path: Path) -> None:
        """Replace the file by this ring: atomic, durable, readable by its owner only."""
        _publish(path, self.secrets, replace=True)

    def seal(self, collection: str, identity: str, field: str, text: str) -> bytes:
        """Encrypt a field's text for exactly this place."""
        key_id = self.secrets.current.encode()
        context = f"{collection}|{identity}|{field}".encode()
        box = self._boxes[self.secrets.current].encrypt(text.encode(), context)
        return bytes((_SEALED_VERSION, len(key_id))) + key_id + bytes(box)

    def unseal(self, collection: str, identity: str, field: str, sealed: bytes) -> str:
        """Decrypt a field's text.

        Raises:
            SealBroken: It was altered, or sealed for another place or with a key that is gone.
        """
        if len(sealed) < 2 or sealed[0] != _SEALED_VERSION:  # noqa: PLR2004 -- the two header bytes
            raise SealBroken(f"The value of {collection}.{field} is not a sealed one.")
        end = 2 + sealed[1]
        box = self._boxes.get(sealed[2:end].decode(errors="replace"))
        if box is None:
            raise SealBroken(f"The value of {collection}.{field} names a key that is not in the key ring.")
        try:
            return box.decrypt(sealed[end:], f"{collection}|{identity}|{field}".encode()).decode()
        except (CryptoError, ValueError) as exc:
            raise SealBroken(f"The value of {collection}.{field} was altered or moved.") from exc

    def blind(self, field: str, text: str) -> bytes:
        """Return a keyed digest that is equal for equal text of the same field, and tells nothing else."""
        digest = hashlib.blake2b(
            text.encode(), digest_size=16, key=self.secrets.index, person=field.encode()[:16]
        )
        return digest.digest()

    def signing_key(self) -> TokenKey:
        """Return the key that signs access tokens."""
        return self.secrets.tokens[-1]

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return every token key's public half as a JSON Web Key Set (RFC 8037)."""
        return {"keys": [_jwk(key) for key in self.secrets.tokens]}

    def derive_refresh(self, token: str) -> str:
        """Return the token that follows this refresh token; always the same one.

        Raises:
            ValueError: The text has not the form ``rr1.FAMILY.SECRET``.
        """
        prefix, family, secret = token.split(".")
        if prefix != _REFRESH_PREFIX or not family or not secret:
            raise ValueError("a refresh token has the form rr1.FAMILY.SECRET")
        digest = hashlib.blake2b(token.encode(), digest_size=32, key=self.secrets.refresh)
        return f"{prefix}.{family}.{_base64url(digest.digest())}"

    @property
    def cluster_secret(self) -> bytes:
        """The secret that roles prove to each other on their links."""
        return self.secrets.cluster


def first_refresh(family: str) -> str:
    """Make the first refresh token of a family."""
    return f"{_REFRESH_PREFIX}.{family}.{secrets.token_urlsafe(_KEY_BYTES)}"


def fresh_secrets(now_ms: int) -> Secrets:
    """Make new secrets."""
    storage = _storage_key(now_ms)
    index, refresh, cluster = (secrets.token_bytes(_KEY_BYTES) for _ in range(3))
    return Secrets((storage,), storage.id, (_token_key(now_ms),), index, refresh, cluster)


def _storage_key(now_ms: int) -> StorageKey:
    return StorageKey("s" + secrets.token_hex(4), secrets.token_bytes(_KEY_BYTES), now_ms)


def _token_key(now_ms: int) -> TokenKey:
    return TokenKey("t" + secrets.token_hex(4), secrets.token_bytes(_KEY_BYTES), now_ms)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _jwk(key: TokenKey) -> dict[str, str]:
    public = _base64url(bytes(SigningKey(key.seed).verify_key))
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": public}


def _decode(path: Path, content: bytes) -> Secrets:
    try:
        found = msgspec.json.decode(content, type=Secrets)
    except ValueError as exc:
        raise KeyRingError(f"{path} is not a key ring ({exc}). Restore it from a backup.") from exc
    lengths = {len(key.key) for key in found.storage} | {len(key.seed) for key in found.tokens}
    lengths |= {len(found.index), len(found.refresh), len(found.cluster)}
    if lengths != {_KEY_BYTES} or found.current not in {key.id for key in found.storage} or not found.tokens:
        raise KeyRingError(f"{path} is damaged: a key is missing or short. Restore it from a backup.")
    return found


def _publish(path: Path, content: Secrets, *, replace: bool) -> None:
    """Write the file so that it is there whole or not at all, and stays after a power cut."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
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


__all__ = [
    "KeyRing",
    "KeyRingError",
    "SealBroken",
    "Secrets",
    "StorageKey",
    "TokenKey",
    "first_refresh",
    "fresh_secrets",
]
