"""The handshake of a link, without I/O: a version that both sides speak, and proof of the shared secret."""

import hmac
import secrets
from hashlib import sha256

import msgspec
from msgspec import Struct

from actors.rpc.messages import OLDEST_PROTOCOL, PROTOCOL

_NONCE = 16


class Welcome(Struct, array_like=True, tag="welcome"):
    """First message of the side that was connected to: the versions it speaks, and what is to be proved."""

    protocol: int
    oldest: int
    nonce: bytes


class Greeting(Struct, array_like=True, tag="greeting"):
    """First message of the side that connected: who it is. ``proof`` answers the other's nonce."""

    protocol: int
    oldest: int
    role: str
    name: str
    proof: bytes


decode = msgspec.msgpack.Decoder(Welcome | Greeting).decode


class HandshakeFailed(Exception):  # noqa: N818 -- named for what happened
    """The other side is none to talk to; says what it sent."""


class Handshake:
    """One side of a handshake.

    Args:
        secret: The cluster's.
        me: Role and name of the side that connects, None on the side that was connected to.

    Attributes:
        role: The other side's, on the side that was connected to.
        name: Likewise.
        protocol: The newest version that both sides speak.
    """

    def __init__(self, secret: bytes, me: tuple[str, str] | None) -> None:
        self._secret, self._me = secret, me
        self._nonce = secrets.token_bytes(_NONCE) if me is None else b""
        self.role = self.name = ""
        self.protocol = 0

    def opening(self) -> Welcome | None:
        """Return what this side says first, None if the other one does."""
        return Welcome(PROTOCOL, OLDEST_PROTOCOL, self._nonce) if self._me is None else None

    def take(self, body: bytes) -> Greeting | None:
        """Take the other side's first message; returns what to answer.

        Raises:
            HandshakeFailed: It cannot be decoded, proves nothing, or shares no version with this side.
        """
        try:
            first = decode(body)
        except (ValueError, RecursionError) as exc:
            raise HandshakeFailed(f"a greeting that cannot be decoded: {exc}") from exc
        answer: Greeting | None = None
        match first:
            case Welcome() if self._me is not None:
                proof = self._proof(first.nonce, *self._me)
                answer = Greeting(PROTOCOL, OLDEST_PROTOCOL, *self._me, proof)
            case Greeting() if self._me is None:
                if not hmac.compare_digest(first.proof, self._proof(self._nonce, first.role, first.name)):
                    raise HandshakeFailed("a greeting with the wrong proof")
                self.role, self.name = first.role, first.name
            case _:
                raise HandshakeFailed("a greeting that is not its turn")
        self.protocol = min(first.protocol, PROTOCOL)
        if self.protocol < max(first.oldest, OLDEST_PROTOCOL):
            raise HandshakeFailed(
                f"a greeting of versions {first.oldest} to {first.protocol}, and this side speaks "
                f"{OLDEST_PROTOCOL} to {PROTOCOL}: upgrade one release at a time"
            )
        return answer

    def _proof(self, nonce: bytes, role: str, name: str) -> bytes:
        return hmac.digest(self._secret, b"|".join([nonce, role.encode(), name.encode()]), sha256)
