"""The tokens by which providers of pushes find devices."""

from collections.abc import Sequence
from typing import Protocol

from storage.account_rows import PushToken


class PushTokens(Protocol):
    """Who is woken by which token: a token belongs to one device, and to one session of it.

    Where the same app is signed in to two accounts, one after the other, or twice to one, the provider gives
    it the same token. Whoever registered a token last has it.
    """

    async def register(
        self, user_id: str, device: str, token: PushToken, session: str, now_ms: int
    ) -> list[str] | None:
        """Give the token to a device, and take it from every other one, whoever's that is.

        Of two calls the one that began when the other was over wins; of two at once, one does. A call that
        was cut short is to be repeated: until then a device that had the token before may have it too.

        Args:
            user_id: The owner of the device.
            device: The device.
            token: By what it is found. Who else has it is told by the provider and its name for the app
                alone: the keys of Web Push may be others.
            session: The family of refresh tokens with which it goes.
            now_ms: Unix time.

        Returns:
            The users whose devices have changed by it; None if there is no such device.
        """
        ...

    async def drop(self, user_id: str, device: str, token: str | None) -> bool:
        """Remove the device's token.

        Args:
            user_id: The owner of the device.
            device: The device.
            token: Remove it only if it is still that one (compare-and-set); None: whatever it is.
        """
        ...

    async def end(self, user_id: str, sessions: Sequence[str]) -> bool:
        """Remove the tokens that go with these sessions; says whether there was one. Idempotent."""
        ...
