"""After which time the messages of each conversation disappear, as one of the two has set it last."""

from collections.abc import Mapping

from roost.client.content import Content, Timer, read
from roost.client.thread import is_shown


class Timers:
    """The timers that are on.

    Args:
        seconds: What was set before, by peer.
    """

    def __init__(self, seconds: Mapping[str, int] | None = None) -> None:
        self._seconds = dict(seconds or {})

    def told(self, peer: str, content: Content) -> None:
        """Take in what was said in a conversation."""
        if not isinstance(content, Timer):
            return
        if content.expires_in_s is None:
            self._seconds.pop(peer, None)
        else:
            self._seconds[peer] = content.expires_in_s

    def of(self, peer: str, content: bytes) -> int | None:
        """Return after how many seconds this message to ``peer`` disappears; None: it stays.

        What has no place of its own disappears with what it is about, and the timer itself stays.
        """
        seconds = self._seconds.get(peer)
        if seconds is None:
            return None
        said = read(content)
        return seconds if is_shown(said) and not isinstance(said, Timer) else None
