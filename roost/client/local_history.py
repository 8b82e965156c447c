"""What an app asks of a client's history."""

import asyncio
from collections.abc import Callable

from roost.client.keystore import Keystore
from roost.client.store import Conversation, History, Page
from roost.client.thread import Message
from roost.ids import fold_username


class LocalHistory:
    """Reads the history in a keystore, once all that happened so far is in it.

    Every method raises ``ValueError`` if the keystore has none, or a ``peer`` is not a username.

    Args:
        keystore: Where it is.
        flushed: Returns a future that is done once everything so far is kept.
        now_ms: The time on the server's clock.
    """

    def __init__(
        self, keystore: Keystore, flushed: Callable[[], "asyncio.Future[None]"], now_ms: Callable[[], int]
    ) -> None:
        self._keystore = keystore
        self._flushed = flushed
        self._now_ms = now_ms

    async def page(self, peer: str, *, before: int | None = None, limit: int = 50) -> Page:
        """Return the last messages of a conversation as they are now: edited, deleted, with reactions.

        Args:
            peer: With whom; oneself for the notes on one's own devices.
            before: ``Page.before`` of the page that comes after the one wanted; None: the last page.
            limit: How many messages at most.

        Raises:
            ValueError: ``limit`` is below 1.
        """
        if limit < 1:
            raise ValueError("a page has at least one message")
        return await (await self._written()).page(fold_username(peer), before, limit, self._now_ms())

    async def message(self, peer: str, message_id: str) -> Message | None:
        """Return one message of a conversation as it is now, None if it is not known here."""
        return await (await self._written()).message(fold_username(peer), message_id, self._now_ms())

    async def conversations(self) -> list[Conversation]:
        """Return the conversations of this device, the one with the newest message first."""
        return await (await self._written()).conversations(self._now_ms())

    async def search(self, text: str, *, peer: str | None = None, limit: int = 50) -> list[Message]:
        """Return the messages in which every word of ``text`` begins one, the newest first.

        Args:
            text: Words; accents and case make no difference.
            peer: Search in this conversation; None: in all.
            limit: How many messages at most.
        """
        within = None if peer is None else fold_username(peer)
        return await (await self._written()).search(text, within, limit, self._now_ms())

    async def _written(self) -> History:
        history = self._keystore.history
        if history is None:
            raise ValueError("this keystore keeps no history: use one that does")
        await asyncio.shield(self._flushed())
        return history
