"""The handshake of a link, without I/O: a version that both sides speak, and a proof of the secret by each.

    listening side                                       connecting side
    Welcome(versions, nonce)              ->
                                          <-             Greeting(versions, role, name, nonce, proof)
    Proof(proof)                          ->

A proof is a MAC, keyed with the cluster's secret, of everything that both sides said and of the encrypted
connection that they said it on. So one that was heard on another link proves nothing (it has other nonces);
nor does the other side's own, sent back (whose proof it is, is part of it), one of a changed conversation
(the versions are part of it), nor one that someone in the middle passes on (each half of such a link is
another TLS connection).
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from actors.rpc.messages import OLDEST_PROTOCOL, PROTOCOL, encode

_NONCE = 16
_CONNECTING, _LISTENING = "roost link, connecting side", "roost link, listening side"

LinkSecret = bytes | Callable[[], Sequence[bytes]]
"""The cluster's secret; or what returns it as it is now, and others that are accepted while it changes."""


class Welcome(Struct, array_like=True, tag="welcome"):
    """First message of the listening side: the versions it speaks, and what is to be proved."""

    protocol: int
    oldest: int
    nonce: bytes


class Greeting(Struct, array_like=True, tag="greeting"):
    """Answer of the connecting side: who it is, its proof, and what the other side is to prove."""

    protocol: int
    oldest: int
    role: str
    name: str
    nonce: bytes
    proof: bytes


class Proof(Struct, array_like=True, tag="proof"):
    """Last message of the handshake: the listening side's proof."""

    proof: bytes


Message = Welcome | Greeting | Proof
decode = msgspec.msgpack.Decoder(Message).decode


class HandshakeFailed(Exception):  # noqa: N818 -- named for what happened
    """The other side is none to talk to; says what it sent."""


class Handshake:
    """One side of a handshake.

    Args:
        secret: The cluster's.
        me: Role and name of the side that connects, None on the side that listens.
        connection: What identifies the encrypted connection, the same on both sides; empty if there is none.

    Attributes:
        done: Whether the other side has proved itself.
        role: The other side's, on the side that listens.
        name: Likewise.
        protocol: The newest version that both sides speak.
    """

    def __init__(self, secret: LinkSecret, me: tuple[str, str] | None, connection: bytes = b"") -> None:
        self._secrets = (secret,) if isinstance(secret, bytes) else tuple(secret())
        self._me, self._connection = me, connection
        self._nonce = secrets.token_bytes(_NONCE)
        self._awaited = b""
        self.done = False
        self.role = self.name = ""
        self.protocol = 0

    def opening(self) -> Welcome | None:
        """Return what this side says first, None if the other one does."""
        return Welcome(PROTOCOL, OLDEST_PROTOCOL, self._nonce) if self._me is None else None

    def take(self, body: bytes) -> Message | None:
        """Take a message of the other side; returns what to answer.

        Raises:
            HandshakeFailed: It cannot be decoded, proves nothing, or shares no version with this side.
        """
        try:
            message = decode(body)
        except (ValueError, RecursionError) as exc:
            raise HandshakeFailed(f"a greeting that cannot be decoded: {exc}") from exc
        match message:
            case Welcome() if self._me is not None and not self._awaited:
                return self._greet(message, *self._me)
            case Greeting() if self._me is None:
                return self._answer(message)
            case Proof() if self._awaited:
                self._check(message.proof, self._awaited)
                return None
            case _:
                raise HandshakeFailed("a greeting that is not its turn")

    def _greet(self, welcome: Welcome, role: str, name: str) -> Greeting:
        self._agree(welcome.protocol, welcome.oldest)
        mine = Greeting(PROTOCOL, OLDEST_PROTOCOL, role, name, self._nonce, b"")
        self._awaited = self._prove(self._secrets[0], _LISTENING, welcome, mine)
        mine.proof = self._prove(self._secrets[0], _CONNECTING, welcome, mine)
        return mine

    def _answer(self, greeting: Greeting) -> Proof:
        welcome = Welcome(PROTOCOL, OLDEST_PROTOCOL, self._nonce)
        secret = next((each for each in self._secrets if self._is_of(each, welcome, greeting)), None)
        if secret is None:
            raise HandshakeFailed("a greeting with the wrong proof")
        self.done = True
        self.role, self.name = greeting.role, greeting.name
        self._agree(greeting.protocol, greeting.oldest)
        return Proof(self._prove(secret, _LISTENING, welcome, greeting))

    def _is_of(self, secret: bytes, welcome: Welcome, greeting: Greeting) -> bool:
        return hmac.compare_digest(greeting.proof, self._prove(secret, _CONNECTING, welcome, greeting))

    def _check(self, proof: bytes, wanted: bytes) -> None:
        if not hmac.compare_digest(proof, wanted):
            raise HandshakeFailed("a greeting with the wrong proof")
        self.done = True

    def _agree(self, newest: int, oldest: int) -> None:
        self.protocol = min(newest, PROTOCOL)
        if self.protocol < max(oldest, OLDEST_PROTOCOL):
            raise HandshakeFailed(
                f"a greeting of versions {oldest} to {newest}, and this side speaks "
                f"{OLDEST_PROTOCOL} to {PROTOCOL}: upgrade one release at a time"
            )

    def _prove(self, secret: bytes, side: str, welcome: Welcome, greeting: Greeting) -> bytes:
        # MessagePack says how long each part is: no two conversations make the same bytes.
        said = (
            side,
            self._connection,
            (welcome.protocol, welcome.oldest, welcome.nonce),
            (greeting.protocol, greeting.oldest, greeting.role, greeting.name, greeting.nonce),
        )
        return hmac.digest(secret, encode(said), sha256)
