"""A health probe of a MongoDB server: one read, over a socket of its own, without a driver.

A driver would keep connections, monitor threads and retries for what is one question and one answer.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import struct
from collections.abc import Mapping
from typing import Any, Final

import bson

from storage.access import Access

_WITHIN_S: Final = 3.0
_OP_MSG: Final = 2013
_HEAD: Final = struct.Struct("<iiii")
_SECTION: Final = struct.Struct("<IB")
_INTERNAL_ERROR: Final = 1


class StoreProbe:
    """Asks one server, again and again.

    Args:
        host: Where it is.
        port: Likewise.
        database: What is read.
        collection: Likewise.
        access: Who signs in, and whether with TLS.
    """

    def __init__(self, host: str, port: int, database: str, collection: str, access: Access) -> None:
        self._address, self._access = (host, port), access
        self._question = {"find": collection, "limit": 1, "singleBatch": True, "$db": database}
        self._scram = None if access.user is None else _Scram(access.user, access.password or "")

    async def refuses_reads(self) -> bool:
        """Return whether the server answers a read with an internal error.

        A storage engine that could not write, for want of room say, may refuse everything until it is
        started again. A server that is away, slow, or refuses for a reason of its own, is not meant.
        """
        try:
            async with asyncio.timeout(_WITHIN_S):
                context = self._access.context() if self._access.tls else None
                reader, writer = await asyncio.open_connection(*self._address, ssl=context)
                try:
                    link = _Link(reader, writer)
                    answer = None if self._scram is None else await self._scram.refused(link)
                    answer = answer or await link.ask(self._question)
                finally:
                    writer.close()
        except (OSError, EOFError, TimeoutError):
            return False
        return answer.get("code") == _INTERNAL_ERROR


class _Link:
    """A connection on which one question follows the other's answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        body = bson.encode(question)
        length = _HEAD.size + _SECTION.size + len(body)
        self._writer.write(_HEAD.pack(length, 1, 0, _OP_MSG) + _SECTION.pack(0, 0) + body)
        length, *_ = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        answer = await self._reader.readexactly(length - _HEAD.size)
        return bson.decode(answer[_SECTION.size :])


class _Scram:
    """Signs in by SCRAM-SHA-256 (RFC 7677), and keeps the one costly value of it."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password.encode()
        self._salted: dict[tuple[bytes, int], bytes] = {}

    async def refused(self, link: _Link) -> dict[str, Any] | None:
        """Return the answer with which the server refuses, None if it lets us in."""
        first = f"n={self._user},r={secrets.token_urlsafe(18)}"
        start = {"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,," + first.encode()}
        answer = await link.ask({**start, "options": {"skipEmptyExchange": True}, "$db": "admin"})
        if answer.get("ok") != 1:
            return answer
        challenge = bytes(answer["payload"]).decode()
        proof = self._proof(first, challenge)
        going_on = {"saslContinue": 1, "conversationId": answer["conversationId"], "payload": proof}
        answer = await link.ask({**going_on, "$db": "admin"})
        return None if answer.get("ok") == 1 else answer

    def _proof(self, first: str, challenge: str) -> bytes:
        said = dict(part.split("=", 1) for part in challenge.split(","))
        final = f"c=biws,r={said['r']}"
        salted = self._salt(base64.b64decode(said["s"]), int(said["i"]))
        client_key = _hmac(salted, b"Client Key")
        signed = f"{first},{challenge},{final}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _salt(self, salt: bytes, rounds: int) -> bytes:
        if (salt, rounds) not in self._salted:
            self._salted = {(salt, rounds): hashlib.pbkdf2_hmac("sha256", self._password, salt, rounds)}
        return self._salted[salt, rounds]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
