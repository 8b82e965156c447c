"""Password hashes: argon2id at OWASP's minimum, in few threads, the same work for unknown users.

Passwords count in Unicode's form NFKC, since keyboards differ in how they put an accent on a letter. Only new
ones have to be hard to guess.

Source: OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1); NIST SP 800-63B, section 3.1.1.2, for the form
and for a list of common passwords.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from api.identity.common_passwords import is_common
from api.identity.turns import Turns
from roost.errors import RoostError

_WAITING_MAX = 200
_WAITING_IN_ALL = 2_000
_LENGTH_MIN = 8

T = TypeVar("T")


class Passwords:
    """Hashes and verifies in its own bounded pool, so that log-ins cannot starve the event loop.

    Args:
        threads: Of the pool.
        memory_kib: Memory of one hash; less than the default is for programs whose passwords are no secrets.
    """

    def __init__(self, threads: int = 2, *, memory_kib: int = 19_456) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._turns = Turns(threads, line=_WAITING_MAX, total=_WAITING_IN_ALL)
        self._dummy = self._hasher.hash("a password that no one has")

    def check_new(self, password: str, username: str, field: str = "body.password") -> None:
        """Refuse a new password that is guessed first, with ``invalid``; ``field`` is its name."""
        if len(_normal(password)) < _LENGTH_MIN:
            raise RoostError("invalid", f"{field}: it must have {_LENGTH_MIN} characters at least.")
        if is_common(_normal(password), username):
            raise RoostError(
                "invalid", f"{field}: this is one of the passwords that are tried first; choose another."
            )

    async def hash(self, password: str, address: str) -> str:
        """Hash a new password, in the turn of the client's address.

        Raises:
            Unavailable: Too many are waiting already.
        """
        return await self._run(address, self._hasher.hash, _normal(password))

    async def verify(self, stored: str | None, password: str, address: str) -> bool:
        """Compare; ``None`` (no such user) takes as long and is always False. As `hash` otherwise."""
        matches = await self._run(address, self._matches, stored or self._dummy, _normal(password))
        return matches and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Return whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, address: str, function: Callable[..., T], *args: str) -> T:
        async with self._turns.of(address):
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
