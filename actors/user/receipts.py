"""The marks that each sender was told: this user has received, and read, their messages up to here.

A mark is a number in this user's mailbox. Marks only rise, and ``read`` is never above ``delivered``.

A sender may know a message by several numbers. A client that got no answer sends again, and the log gives the
repeat a number of its own. The repeat is dropped and no device ever acknowledges it; yet its number may be
the only one that the sender was answered, so a mark has to cover it too, as soon as it covers the message:

    1010   from Alice, an entry                    message 1010, handled 1010
    1014   the same again, dropped                 message 1010, handled 1014
    1010 is acknowledged                           Alice is told 1014

But not sooner: had she written 1012 in between, an acknowledgement of 1010 would tell her 1010, and one of
1012 would tell her 1014.
"""

from collections.abc import Iterable

from msgspec import Struct

from actors.user.errors import InvariantError
from storage.mailbox_rows import Conversation


class SenderMarks(Struct):
    """What is known of one sender.

    Attributes:
        handled: Last record of this sender since the actor was activated, and any repeat before. Above
            ``message`` if it was a repeat.
        message: Last record of this sender that became an entry; where none did since the activation,
            the last one before the repeat.
        delivered: Watermark told since the activation.
        read: Watermark told since the activation.
    """

    handled: int = 0
    message: int = 0
    delivered: int = 0
    read: int = 0


class Receipts:
    """The marks of all senders.

    Args:
        rows: What the user knows of each conversation: repeats that were dropped earlier.

    Attributes:
        marks: By user id.
    """

    __slots__ = ("marks",)

    def __init__(self, rows: Iterable[Conversation] = ()) -> None:
        self.marks = {
            row.peer: SenderMarks(row.repeat_seq, row.repeated_upto) for row in rows if row.repeat_seq
        }

    def arrived(self, sender: str, seq: int) -> None:
        """A new message of this sender became an entry."""
        peer = self.marks.setdefault(sender, SenderMarks())
        peer.handled = max(peer.handled, seq)
        peer.message = max(peer.message, seq)

    def repeated(self, sender: str, seq: int, upto: int) -> SenderMarks:
        """A repeat was dropped: its number counts as delivered and read when all before it is.

        Args:
            sender: Who sent it.
            seq: The repeat's number.
            upto: The sender's last entry before it, where that is older than the activation.
        """
        peer = self.marks.setdefault(sender, SenderMarks())
        peer.handled = max(peer.handled, seq)
        peer.message = max(peer.message, upto)
        return peer

    def delivered(self, sender: str, upto: int) -> SenderMarks | None:
        """Everything of this sender up to ``upto`` is acknowledged; returns what to tell, if that is new."""
        peer = self.marks.setdefault(sender, SenderMarks())
        return self._raise(peer, delivered=_with_repeats(peer, upto))

    def read(self, sender: str, upto: int) -> SenderMarks | None:
        """Everything of this sender up to ``upto`` is read; returns what to tell, if that is new."""
        peer = self.marks.setdefault(sender, SenderMarks())
        covered = _with_repeats(peer, upto)
        return self._raise(peer, delivered=covered, read=covered)

    def of(self, sender: str) -> SenderMarks:
        """Return what this sender was told since the activation."""
        return self.marks.setdefault(sender, SenderMarks())

    @staticmethod
    def _raise(peer: SenderMarks, *, delivered: int = 0, read: int = 0) -> SenderMarks | None:
        if delivered <= peer.delivered and read <= peer.read:
            return None
        peer.delivered = max(peer.delivered, delivered)
        peer.read = max(peer.read, read)
        return peer

    def check(self, upto: int) -> None:
        """Raise `InvariantError` if a mark contradicts another; all that exists is up to ``upto``."""
        for sender, marks in self.marks.items():
            if marks.read > marks.delivered:
                raise InvariantError(f"{sender} was told read {marks.read}, delivered {marks.delivered}.")
            if marks.message > marks.handled:
                raise InvariantError(f"{sender} has entry {marks.message} after its last, {marks.handled}.")
            if marks.delivered > max(upto, marks.handled):
                raise InvariantError(
                    f"{sender} was told {marks.delivered}, and there is nothing after {upto}."
                )


def _with_repeats(peer: SenderMarks, upto: int) -> int:
    """Return the mark that covers ``upto``, and the repeats after it if no entry of this sender follows."""
    return max(upto, peer.handled) if peer.message <= upto else upto
