"""What this user's peers may be told: how far their messages were received and read.

A watermark is a number in this user's mailbox. It only rises, and it covers a sender's message
when some device of this user has acknowledged it, dropped repeats included.
"""

from msgspec import Struct


class Peer(Struct):
    """What is known of one sender since the actor was activated.

    Attributes:
        handled: Last record of this sender, repeats included.
        message: Last record of this sender that became an entry.
        delivered: Watermark told so far.
        read: Watermark told so far.
    """

    handled: int = 0
    message: int = 0
    delivered: int = 0
    read: int = 0


class Receipts:
    """The watermarks of all senders."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def arrived(self, sender: str, seq: int) -> None:
        """A new message of this sender became an entry."""
        peer = self._peers.setdefault(sender, Peer())
        peer.handled = peer.message = seq

    def repeated(self, sender: str, seq: int, *, all_acked: bool) -> Peer | None:
        """A repeat was dropped. Returns what to tell, if nothing of the sender is unacknowledged.

        Args:
            sender: Who sent it.
            seq: The repeat's number.
            all_acked: Every entry of the mailbox is acknowledged by some device; needed when
                nothing of the sender was seen since activation.
        """
        peer = self._peers.setdefault(sender, Peer())
        peer.handled = seq
        acked = peer.delivered >= peer.message if peer.message else all_acked
        was_read = 0 < peer.message <= peer.read
        return self._raise(peer, delivered=seq, read=seq if was_read else 0) if acked else None

    def delivered(self, sender: str, upto: int) -> Peer | None:
        """Some device has acknowledged everything up to ``upto``, with a message of this sender in it."""
        peer = self._peers.setdefault(sender, Peer())
        whole = peer.message <= upto
        return self._raise(peer, delivered=max(upto, peer.handled) if whole else upto)

    def read(self, sender: str, upto: int) -> Peer | None:
        """The user has read everything of this sender up to ``upto``."""
        peer = self._peers.setdefault(sender, Peer())
        # The sender knows a message by the number of its last repeat, which was dropped here.
        covered = max(upto, peer.handled) if 0 < peer.message <= upto else upto
        return self._raise(peer, delivered=covered, read=covered)

    @staticmethod
    def _raise(peer: Peer, *, delivered: int = 0, read: int = 0) -> Peer | None:
        if delivered <= peer.delivered and read <= peer.read:
            return None
        peer.delivered = max(peer.delivered, delivered)
        peer.read = max(peer.read, read)
        return peer
