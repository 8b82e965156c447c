"""How far this user has read, and what the user's other devices are told of it."""

from roost.client import events
from roost.client.content import Content, ReadUpTo


class ReadMarks:
    """Up to which number of this mailbox the messages of each peer are read, as far as is known in this run.

    The device that made a mark says it to the others, once; what becomes of that message the app is not told.
    """

    def __init__(self) -> None:
        self._upto: dict[str, int] = {}
        self._unsaid: set[str] = set()
        self._last: dict[str, str] = {}
        self._ours: set[str] = set()

    def made(self, peer: str, seq: int) -> None:
        """Take in a mark of this device."""
        if self._moved(peer, seq):
            self._unsaid.add(peer)

    def heard(self, content: Content) -> None:
        """Take in what another own device says."""
        if isinstance(content, ReadUpTo) and self._moved(content.peer, content.seq):
            self._unsaid.discard(content.peer)

    @property
    def unsaid(self) -> bool:
        """Whether there are marks that the other devices are not told of."""
        return bool(self._unsaid)

    def to_say(self) -> list[ReadUpTo]:
        """Return the marks that the other devices are not told of; they count as told."""
        found = [ReadUpTo(peer, self._upto[peer]) for peer in sorted(self._unsaid)]
        self._unsaid.clear()
        return found

    def last(self, peer: str) -> str:
        """Return the id of the message that told of the mark before, '' if there was none."""
        return self._last.get(peer, "")

    def said(self, peer: str, message_id: str) -> None:
        """Note which message tells of the mark."""
        self._last[peer] = message_id
        self._ours.add(message_id)

    def are_of(self, event: events.Event) -> bool:
        """Return whether an event is about what this tells other devices, and nothing else."""
        match event:
            case events.Accepted(id=message_id):
                return message_id in self._ours
            case events.Failed(id=message_id) | events.Expired(id=message_id):
                return self._ended((message_id,))
            case events.Delivered(ids=ids):
                return self._ended(ids)
            case events.IdChanged(id=message_id, new_id=new_id) if message_id in self._ours:
                self._ours = self._ours - {message_id} | {new_id}
                return True
        return False

    def _moved(self, peer: str, seq: int) -> bool:
        moved = seq > self._upto.get(peer, 0)
        if moved:
            self._upto[peer] = seq
        return moved

    def _ended(self, ids: tuple[str, ...]) -> bool:
        alone = bool(ids) and self._ours.issuperset(ids)
        self._ours.difference_update(ids)
        return alone
