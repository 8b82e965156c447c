"""The code by which a new device is linked, and the proof that what it gets is from the device that read it.

The new device shows the code, as text and as a QR code:

    code = "roost:link/1/" username "/" device id "/" Ed25519 key "/" secret "/" end

The key is the new device's (32 bytes) and the secret 16 random bytes, both in base64 for URLs without
padding; the end is the Unix second at which the code ends, in decimal. An old device compares the key with
the one that the server gives, signs it, and answers with a message to oneself:

    sealed = sealed box (X25519, XSalsa20-Poly1305) to the new device's key, of the answer
    proof  = HMAC-SHA256, keyed with the secret, of
             "roost.linked.v1" | 0x00 | Ed25519 key of the new device | that of the old one | sealed

So neither the server nor another own device can answer: they never saw the secret. Whoever photographs the
code can answer, if they can also send in this user's name or are the server; they can read nothing, since the
box is sealed to the new device, whose private key is in no code.
"""

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from nacl.exceptions import CryptoError
from nacl.public import PublicKey, SealedBox

from roost.crypto.keys import DeviceSecrets
from roost.ids import fold_username
from roost.signing import KEY_BYTES, DeviceKeys

LIFE_S: Final = 600
"""How long a code is good for."""

SECRET_BYTES: Final = 16
_SCHEME: Final = "roost:link/1/"
_CODE_MAX: Final = 256
_DEVICE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_END: Final = re.compile(r"[0-9]{1,12}")
_DOMAIN: Final = b"roost.linked.v1\0"


@dataclass(frozen=True, slots=True)
class LinkCode:
    """What a new device shows.

    Attributes:
        username: Whose device it is to be.
        device_id: The new device.
        ed25519: Its public key, 32 bytes.
        secret: 16 random bytes that nobody else sees.
        ends_s: Unix seconds at which the code ends, on the server's clock.
    """

    username: str
    device_id: str
    ed25519: bytes
    secret: bytes = field(repr=False)
    ends_s: int

    def __str__(self) -> str:
        """The text of the code."""
        parts = (self.username, self.device_id, _coded(self.ed25519), _coded(self.secret), str(self.ends_s))
        return _SCHEME + "/".join(parts)

    @classmethod
    def parse(cls, text: str) -> "LinkCode":
        """Read a code.

        Raises:
            ValueError: It is none.
        """
        text = text.strip()
        parts = text.removeprefix(_SCHEME).split("/")
        if len(text) > _CODE_MAX or not text.startswith(_SCHEME) or len(parts) != 5:  # noqa: PLR2004
            raise ValueError("this is no code that links a device")
        username, device_id, key, secret, ends = parts
        if (
            fold_username(username) != username
            or not _DEVICE.fullmatch(device_id)
            or not _END.fullmatch(ends)
        ):
            raise ValueError("the code is damaged")
        return cls(username, device_id, _read(key, KEY_BYTES), _read(secret, SECRET_BYTES), int(ends))

    def is_good(self, now_ms: int) -> bool:
        """Return whether the code has not ended, and does not claim to live for longer than one may."""
        return now_ms < self.ends_s * 1000 <= now_ms + 2 * LIFE_S * 1000


def seal_answer(answer: bytes, code: LinkCode, device: DeviceKeys, own: DeviceSecrets) -> tuple[bytes, bytes]:
    """Return what an old device answers: the sealed box, and the proof.

    Args:
        answer: What the new device gets.
        code: As it was read.
        device: The new device's keys, compared with the code.
        own: The old device's.
    """
    sealed = bytes(SealedBox(PublicKey(device.curve25519)).encrypt(answer))
    return sealed, _proof(code, own.ed25519_public, sealed)


def open_answer(sealed: bytes, proof: bytes, code: LinkCode, sender: DeviceKeys, own: DeviceSecrets) -> bytes:
    """Open the answer on the new device.

    Args:
        sealed: The box.
        proof: That it is from whoever read the code.
        code: As it was shown.
        sender: The device that the message is from.
        own: This device's keys.

    Raises:
        ValueError: It is not from whoever read the code, or was altered.
    """
    if not hmac.compare_digest(proof, _proof(code, sender.ed25519, sealed)):
        raise ValueError("the answer is not from the device that read the code")
    try:
        return bytes(SealedBox(own.private_key).decrypt(sealed))
    except (CryptoError, ValueError, TypeError) as exc:
        raise ValueError("the answer is not sealed to this device") from exc


def _proof(code: LinkCode, old: bytes, sealed: bytes) -> bytes:
    return hmac.digest(code.secret, _DOMAIN + code.ed25519 + old + sealed, "sha256")


def _coded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _read(text: str, length: int) -> bytes:
    if not text.isascii():
        raise ValueError("the code is damaged")
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise ValueError("the code is damaged") from exc
    if len(value) != length or _coded(value) != text:
        raise ValueError("the code is damaged")
    return value
