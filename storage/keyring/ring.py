"""The key ring of a process: the secrets as they are now, and the operations on them.

What must be found by equality has a keyed BLAKE2b blind index beside its sealed value.
"""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nacl.secret import Aead
from nacl.signing import SigningKey

from roost.clock import Clock, now_ms
from storage.keyring.file import KeyRingError, Master, RingFile
from storage.keyring.keys import KEY_BYTES, Key, Secrets, State, fresh_secrets
from storage.keyring.sealing import BY_RING, SealBroken, decrypt, encrypt, key_id_of
from storage.keyring.vapid import VapidKey

_REFRESH_PREFIX: Final = "rr1"


class KeyRing:
    """The secrets, and the operations on them.

    Args:
        content: The secrets.
        clock: Says which key is active.
        file: Where they are from, None if they are in memory only.

    Attributes:
        secrets: The secrets as they are now: another object after each change.
    """

    __slots__ = ("_boxes", "_clock", "_file", "_looked", "secrets")

    def __init__(self, content: Secrets, clock: Clock = now_ms, file: RingFile | None = None) -> None:
        self._clock, self._file = clock, file
        self._looked: tuple[int, int, int] | None = None
        self._use(content)

    def __repr__(self) -> str:
        return f"KeyRing({self.secrets!r})"

    @classmethod
    def load(cls, path: Path, master: Master | None = None, clock: Clock = now_ms) -> "KeyRing":
        """Read the key ring.

        Raises:
            KeyRingError: See `RingFile.read`.
        """
        file = RingFile(path, master)
        looked = file.look()
        ring = cls(file.read(), clock, file)
        ring._looked = looked
        return ring

    @classmethod
    def load_or_create(cls, path: Path, clock: Clock, master: Master | None = None) -> "KeyRing":
        """Read the key ring, or make one at the first start; of many at once exactly one makes it."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            RingFile(path, master).write(fresh_secrets(clock()), replace=False)
        return cls.load(path, master, clock)

    def save(self, path: Path, master: Master | None = None) -> None:
        """Replace the file by this ring: atomic, durable, readable by its owner only."""
        RingFile(path, master).write(self.secrets)

    @property
    def changed(self) -> bool:
        """Whether the file was replaced since it was read; a look at its directory entry only."""
        return self._file is not None and self._file.look() not in (None, self._looked)

    def reload(self) -> None:
        """Read the file again.

        Raises:
            KeyRingError: It cannot be used, is of another installation, or lacks a key that is known here, as
                an old copy does. The ring stays as it was.
        """
        if self._file is None:
            return
        looked = self._file.look()
        content = self._file.read()
        if content.installation != self.secrets.installation:
            raise KeyRingError(f"The key ring {self._file.path} is now that of another installation.")
        lost = content.lacks(self.secrets)
        if lost or content.serial < self.secrets.serial:
            named = f" ({', '.join(lost)} missing)" if lost else ""
            raise KeyRingError(
                f"The key ring {self._file.path} was replaced by an older one{named}: {content!r} instead of "
                f"{self.secrets!r}. Put the newer one back."
            )
        self._looked = looked
        self._use(content)

    def state_of(self, key: Key) -> State:
        """Return where a key is in its life now."""
        return self.secrets.state_of(key, self._clock())

    # --- sealing ----------------------------------------------------------------------------------

    @property
    def sealing_key(self) -> str:
        """Id of the storage key that seals new values."""
        return self.secrets.active("storage", self._clock()).id

    @property
    def indexing_key(self) -> str:
        """Id of the key that makes new blind indexes."""
        return self.secrets.active("index", self._clock()).id

    def seal(self, collection: str, identity: str, field: str, text: str) -> bytes:
        """Encrypt a field's text for exactly this place."""
        return self.seal_bytes(collection, identity, field, text.encode())

    def seal_bytes(self, collection: str, identity: str, field: str, value: bytes) -> bytes:
        """Encrypt a value for exactly this place."""
        key_id = self.sealing_key
        header = bytes((BY_RING, len(key_id))) + key_id.encode()
        return header + encrypt(self._boxes[key_id], (collection, identity, field), value)

    def unseal(self, collection: str, identity: str, field: str, sealed: bytes) -> str:
        """Decrypt a field's text; raises as `unseal_bytes` does."""
        return self.unseal_bytes(collection, identity, field, sealed).decode()

    def unseal_bytes(self, collection: str, identity: str, field: str, sealed: bytes) -> bytes:
        """Decrypt a value.

        Raises:
            SealBroken: It was altered, or sealed for another place or with a key that is gone.
        """
        key_id = key_id_of(sealed)
        if key_id is None:
            raise SealBroken(f"The value of {collection}.{field} is not a sealed one.")
        box = self._boxes.get(key_id)
        if box is None:
            raise SealBroken(f"The value of {collection}.{field} names a key that is not in the key ring.")
        return decrypt(box, (collection, identity, field), sealed[2 + sealed[1] :])

    def blind(self, field: str, text: str) -> bytes:
        """Return a keyed digest that is equal for equal text of the same field, and tells nothing else."""
        return _blind(self.secrets.active("index", self._clock()).secret, field, text)

    def blinds(self, field: str, text: str) -> list[bytes]:
        """Return the digests that stored values may have while the key of the index is being changed."""
        return [_blind(key.secret, field, text) for key in self.secrets.usable("index", self._clock())]

    def blinded_by(self, field: str, text: str, digest: bytes) -> list[str]:
        """Return the id of the key that made a digest, if it is one of ours."""
        usable = self.secrets.usable("index", self._clock())
        return [key.id for key in usable if _blind(key.secret, field, text) == digest]

    # --- tokens -----------------------------------------------------------------------------------

    def signing_key(self) -> Key:
        """Return the key that signs access tokens."""
        return self.secrets.active("token", self._clock())

    def token_key(self, kid: str) -> Key | None:
        """Return the key that verifies tokens of this key id now; None if there is none."""
        now = self._clock()
        return next((key for key in self.secrets.usable("token", now) if key.id == kid), None)

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return every token key's public half as a JSON Web Key Set (RFC 8037), also before it signs."""
        return {"keys": [_jwk(key) for key in self.secrets.usable("token", self._clock())]}

    def derive_refresh(self, token: str) -> str:
        """Return the token that follows this refresh token.

        Raises:
            ValueError: The text has not the form ``rr1.FAMILY.SECRET``.
        """
        return _derived(self.secrets.active("refresh", self._clock()), token)

    def derived_refreshes(self, token: str) -> list[str]:
        """Return what may have been given as the token after this one, while the key is being changed."""
        return [_derived(key, token) for key in self.secrets.usable("refresh", self._clock())]

    # --- Web Push ---------------------------------------------------------------------------------

    def vapid_key(self) -> VapidKey:
        """Return the key that browsers are to subscribe with, and that signs what is sent to these then."""
        return VapidKey(self.secrets.active("vapid", self._clock()))

    def vapid_keys(self, key_id: str) -> list[VapidKey]:
        """Return the keys to try for a subscription: first the one that it is said to be made with.

        A browser may register a subscription again that it made long ago. None, if that key is retired.
        """
        usable = [VapidKey(key) for key in reversed(self.secrets.usable("vapid", self._clock()))]
        first = [key for key in usable if key.id == key_id]
        return first and [*first, *(key for key in usable if key.id != key_id)]

    # --- links ------------------------------------------------------------------------------------

    def cluster_secret(self) -> Sequence[bytes]:
        """Return the secrets of links: first the one that a role proves, then others that it accepts."""
        now = self._clock()
        active = self.secrets.active("link", now)
        others = (key.secret for key in self.secrets.usable("link", now) if key is not active)
        return [active.secret, *others]

    def _use(self, content: Secrets) -> None:
        # Boxes first: another thread may be sealing, and names a key that the secrets have.
        self._boxes = {key.id: Aead(key.secret) for key in content.usable("storage", self._clock())}
        self.secrets = content


def first_refresh(family: str) -> str:
    """Make the first refresh token of a family."""
    return f"{_REFRESH_PREFIX}.{family}.{secrets.token_urlsafe(KEY_BYTES)}"


def _blind(key: bytes, field: str, text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16, key=key, person=field.encode()[:16]).digest()


def _derived(key: Key, token: str) -> str:
    prefix, family, secret = token.split(".")
    if prefix != _REFRESH_PREFIX or not family or not secret:
        raise ValueError("a refresh token has the form rr1.FAMILY.SECRET")
    digest = hashlib.blake2b(token.encode(), digest_size=32, key=key.secret)
    return f"{prefix}.{family}.{_base64url(digest.digest())}"


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _jwk(key: Key) -> dict[str, str]:
    public = _base64url(bytes(SigningKey(key.secret).verify_key))
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": public}
