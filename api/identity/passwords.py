"""Password hashes: argon2id at OWASP's minimum, in few threads, the same work for unknown users.

Source: OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from roost.errors import Unavailable

_WAITING_MAX = 200

T = TypeVar("T")


class Passwords:
    """Hashes and verifies in its own bounded pool, so that log-ins cannot starve the event loop."""

    def __init__(self, threads: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._dummy = self._hasher.hash("a password that no one has")

    async def hash(self, password: str) -> str:
        """Hash a new password.

        Raises:
            Unavailable: Too many are waiting already.
        """
        return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Compare; ``None`` (no such user) takes as long and is always False."""
        matches = await self._run(self._matches, stored or self._dummy, password)
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

    async def _run(self, function: Callable[..., T], *args: str) -> T:
        if self._waiting >= _WAITING_MAX:
            raise Unavailable("Too many log-ins are in progress; try again in a moment.", retry_after_s=2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        finally:
            self._waiting -= 1
