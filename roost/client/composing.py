"""Messages before they are sent: encoded and measured, with an id and the time after which they go."""

from collections.abc import Callable
from typing import Literal

from roost.client.content import MAX_CONTENT, Known, Text, encode, is_control
from roost.client.state import OutboxItem
from roost.client.timers import Timers
from roost.ids import fold_username, uuid7
from roost.wire import MAX_EXPIRY_S

Expiry = int | Literal["timer"] | None
"""After how many seconds from its acceptance a message disappears.

None: it stays. ``timer``: as the timer of the conversation is now.
"""


class Composer:
    """Makes messages.

    Args:
        timers: Those of the conversations.
        now_ms: The time on the server's clock.
        random: Source of random bytes.
    """

    def __init__(self, timers: Timers, now_ms: Callable[[], int], random: Callable[[int], bytes]) -> None:
        self._timers, self._now_ms, self._random = timers, now_ms, random

    def item(
        self,
        to: str,
        content: bytes | str | Known,
        *,
        urgent: bool,
        expires_in_s: Expiry,
        silent: bool | None,
    ) -> OutboxItem:
        """Make a message with a fresh id.

        Raises:
            TypeError: The content is of no kind that can be sent.
            ValueError: It is too long, its time is none, or ``to`` is not a username.
        """
        if isinstance(content, str):
            content = Text(content)
        data = content if isinstance(content, bytes) else encode(content)
        if silent is None:
            silent = not isinstance(content, bytes) and is_control(content)
        if len(data) > MAX_CONTENT:
            raise ValueError(f"a message has at most {MAX_CONTENT} bytes: send media by reference")
        peer = fold_username(to)
        if expires_in_s == "timer":
            expires_in_s = self._timers.of(peer, data)
        if expires_in_s is not None and not 0 < expires_in_s <= MAX_EXPIRY_S:
            raise ValueError(f"a message expires after 1 to {MAX_EXPIRY_S} seconds")
        at_ms = self._now_ms()
        message_id = uuid7(at_ms, self._random(10))
        return OutboxItem(0, message_id, peer, at_ms, data, urgent, expires_in_s, silent=silent)
