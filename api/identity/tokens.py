"""Access tokens: signed by the key ring's active key, verified against all that are not retired.

The algorithm is fixed, the key id must be one of ours, every claim is required. What was
verified is remembered by hash for a few seconds, since a verification costs more than a send.
"""

import hashlib
import uuid
from collections import OrderedDict
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from roost.clock import Clock
from roost.errors import RoostError
from storage.keyring import Key, KeyRing

_ALGORITHM = "EdDSA"
_AUDIENCE = "roost"
_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti"]
_LEEWAY_S = 5
_SKEW_MS = 5_000
"""A gateway whose clock is ahead signs with a new key so much before we would."""

_REMEMBERED_MS = 5_000
_REMEMBERED_MAX = 50_000
_TOKEN_MAX = 4_096


class Principal(Struct, frozen=True):
    """Who a valid access token speaks for.

    Attributes:
        user: User id.
        username: Username.
        device: Device id.
        family: The session: id of its family of refresh tokens.
        expires_ms: When the token ends.
        scopes: What it allows beyond the user's own things.
    """

    user: str
    username: str
    device: str
    family: str
    expires_ms: int
    scopes: tuple[str, ...] = ()


class Tokens:
    """Makes and verifies access tokens."""

    def __init__(self, keyring: KeyRing, server_name: str, ttl_s: int, clock: Clock) -> None:
        self.ttl_s = ttl_s
        self._issuer = server_name
        self._clock = clock
        self._ring = keyring
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._verified: OrderedDict[bytes, tuple[Principal, int]] = OrderedDict()

    def issue(self, principal: Principal) -> str:
        """Sign a token for the principal; its ``expires_ms`` is ignored."""
        now_s = self._clock() // 1000
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": _AUDIENCE,
            "sub": principal.user,
            "usr": principal.username,
            "did": principal.device,
            "sid": principal.family,
            "iat": now_s,
            "exp": now_s + self.ttl_s,
            "jti": str(uuid.uuid4()),
        }
        if principal.scopes:
            claims["scope"] = " ".join(principal.scopes)
        key = self._ring.signing_key()
        return jwt.encode(claims, self._pair(key), algorithm=_ALGORITHM, headers={"kid": key.id})

    def verify(self, token: str) -> Principal:
        """Return who the token speaks for. It does not look whether the session was ended.

        Raises:
            RoostError: ``unauthenticated``, saying what is wrong with it.
        """
        now = self._clock()
        digest = hashlib.blake2b(token.encode(errors="replace"), digest_size=16).digest()
        known = self._verified.get(digest)
        if known is not None and now < known[1]:
            return known[0]
        principal = self._verify(token, now)
        self._verified[digest] = (principal, min(now + _REMEMBERED_MS, principal.expires_ms))
        if len(self._verified) > _REMEMBERED_MAX:
            self._verified.popitem(last=False)
        return principal

    def _verify(self, token: str, now_ms: int) -> Principal:
        if len(token) > _TOKEN_MAX:
            raise RoostError("unauthenticated", "The access token is too long.")
        try:
            key = self._ring.token_key(jwt.get_unverified_header(token).get("kid", ""))
            if key is None or key.not_before_ms > now_ms + _SKEW_MS:
                raise RoostError(
                    "unauthenticated", "The access token was not signed by a key of this server."
                )
            claims = jwt.decode(
                token,
                self._pair(key).public_key(),
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY_S,
                # Expiry is checked below against our own clock, which a test can turn.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
            )
            principal = _principal(claims)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as exc:
            raise RoostError("unauthenticated", f"The access token is not valid: {exc}.") from exc
        if principal.expires_ms <= now_ms:
            raise RoostError("unauthenticated", "The access token has expired; refresh the session.")
        return principal

    def _pair(self, key: Key) -> Ed25519PrivateKey:
        found = self._private.get(key.id)
        if found is None:
            found = self._private[key.id] = Ed25519PrivateKey.from_private_bytes(key.secret)
        return found


def _principal(claims: dict[str, Any]) -> Principal:
    texts = [claims[name] for name in ("sub", "usr", "did", "sid")]
    scope, exp = claims.get("scope", ""), claims["exp"]
    if not all(isinstance(text, str) for text in (*texts, scope)) or not isinstance(exp, int):
        raise ValueError("a claim has the wrong type")
    user, username, device, family = texts
    return Principal(user, username, device, family, exp * 1000, tuple(scope.split()))
