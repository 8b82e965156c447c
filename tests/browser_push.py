"""A browser's side of Web Push, written from the RFCs: it subscribes, opens pushes, and checks signatures."""

import base64
import json
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Browser:
    """One subscription."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = secrets.token_bytes(16)

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": encoded(self._point), "auth": encoded(self._auth)}

    @property
    def registration(self) -> dict[str, Any]:
        return {"provider": "webpush", "endpoint": self.endpoint, "keys": self.keys}

    def opened(self, body: bytes) -> bytes:
        """Return the content of a push (RFC 8291 and 8188: one record, no padding)."""
        salt, length, sealed = body[:16], body[20], body[21 + body[20] :]
        sender = body[21 : 21 + length]
        agreed = self._private.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        )
        pseudo = _hmac(self._auth, agreed)
        secret = _hmac(pseudo, b"WebPush: info\0" + self._point + sender + b"\1")
        extracted = _hmac(salt, secret)
        key = _hmac(extracted, b"Content-Encoding: aes128gcm\0\1")[:16]
        nonce = _hmac(extracted, b"Content-Encoding: nonce\0\1")[:12]
        content = AESGCM(key).decrypt(nonce, sealed, None)
        assert content.endswith(b"\2")
        return content[:-1]


def signed_claims(authorization: str, application_server_key: str) -> dict[str, Any]:
    """Return what a push's signature says, made with the key that the browser subscribed with (RFC 8292)."""
    scheme, _, rest = authorization.partition(" ")
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert (scheme, given["k"]) == ("vapid", application_server_key)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(application_server_key))
    head, claims, signature = given["t"].split(".")
    assert json.loads(decoded(head))["alg"] == "ES256"
    r, s = decoded(signature)[:32], decoded(signature)[32:]
    signed = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    key.verify(signed, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    found: dict[str, Any] = json.loads(decoded(claims))
    return found


def _hmac(key: bytes, message: bytes) -> bytes:
    made = HMAC(key, hashes.SHA256())
    made.update(message)
    return made.finalize()
