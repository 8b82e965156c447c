"""How far this user has read, and what the user's other devices are told of it."""

from collections.abc import Callable

from roost.client import events
from roost.client.content import Content, ReadUpTo
from roost.client.core.directory import Directory


class ReadMarks:
    """Up to which number of this mailbox the messages of each peer are read, as far as is known in this run.

    The device that made a mark says it to the others, once; what becomes of that message the app is not told.

    Args:
        me: This user.
        directory: Knows whether there are other devices.
        say: Sends a mark to them, in the place of an earlier message if that still waits; returns its id.
    """

    def __init__(self, me: str, directory: Directory, say: Callable[[ReadUpTo, str], str]) -> None:
        self._me, self._directory, self._say = me, directory, say
        self._upto: dict[str, int] = {}
        self._last: dict[str, str] = {}
        self._ours: set[str] = set()

    def made(self, peer: str, seq: int) -> None:
        """Take in a mark of this device, and say it to the others if it is news."""
        if peer == self._me or not self._moved(peer, seq):
            return
        if len(self._directory.recipients(self._me)) > 1:  # this device is one of them
            self._last[peer] = self._say(ReadUpTo(peer, seq), self._last.get(peer, ""))
            self._ours.add(self._last[peer])

    def heard(self, content: Content) -> None:
        """Take in what another own device says."""
        if isinstance(content, ReadUpTo):
            self._moved(content.peer, content.seq)

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
