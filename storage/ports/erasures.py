"""Erasures: accounts that are to go, one row each, and the deletion of all that is stored of one."""

from collections.abc import Sequence
from typing import Protocol

from storage.account_rows import Erasure


class Erasures(Protocol):
    """The rows outlive every process: who finds one that is due goes on with it. All calls are idempotent."""

    async def ask(self, erasure: Erasure) -> Erasure:
        """Insert the row; returns the one that holds, which is an earlier one if there is one.

        An earlier one that is not due yet becomes due no later than this one.
        """
        ...

    async def cancel(self, user_id: str) -> bool:
        """Keep the account: remove the row if erasing has not begun; False if there was none. Atomic."""
        ...

    async def get(self, user_id: str) -> Erasure | None:
        """Return the account's row."""
        ...

    async def pending(self) -> list[Erasure]:
        """Return every account that is not erased yet, the first that is due first."""
        ...

    async def begin(self, user_id: str, now_ms: int) -> bool:
        """Begin if it is due, or has begun. From then on nothing keeps the account, and its name is taken.

        Atomic with `cancel`.
        """
        ...

    async def erase(self, user_id: str, sessions_until_ms: int) -> int:
        """Delete all that is stored of the user, the account last.

        Ended sessions are kept until then, so that gateways go on refusing their access tokens.

        Returns:
            How many documents were deleted; 0: there was nothing left.
        """
        ...

    async def looked(self, user_id: str, now_ms: int) -> None:
        """Note that everything that was found has been deleted."""
        ...

    async def finish(self, user_id: str, until_ms: int) -> None:
        """The account is erased: keep its id and a digest of its username until then, and nothing else."""
        ...

    async def erased(self, user_ids: Sequence[str]) -> set[str]:
        """Return those of these users who are erased, or being erased."""
        ...

    async def is_reserved(self, username: str) -> bool:
        """Return whether the username was that of an account that was erased not long ago."""
        ...
