"""What the sender's other devices learn of a message: ``sent`` records in the sender's own mailbox.

With own copies in them they are part of the message: it is answered once they are in the log as well.
Without, they only say that something was sent, and are written behind the answer.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from api.identity.directory import Directory
from api.sending.send_request import SendRequest, copy_of
from api.sending.sequence import Sequencer
from roost.errors import Unavailable
from storage.ports import Accepted

_TRIES: Final = 3

Sent = Sequence[tuple[SendRequest, Accepted]]
"""Messages, with what their senders are, or will be, answered."""

log = structlog.get_logger(__name__)


class Copies:
    """Writes ``sent`` records.

    Attributes:
        lost: Records without copies that could not be written.
    """

    def __init__(self, sequencer: Sequencer, directory: Directory) -> None:
        self._sequencer = sequencer
        self._directory = directory
        self.lost = 0

    async def write(self, sent: Sent) -> list[SendRequest]:
        """Write the own copies of these messages, in order; return the messages whose copies are not written.

        What is not known to be written may be, so a device may see a copy twice, under one id.
        """
        left = list(sent)
        for _ in range(_TRIES):
            records = [(item.principal.user, copy_of(item, answer, self._records)) for item, answer in left]
            seqs = await self._sequencer.append(records)
            left = [each for each, seq in zip(left, seqs, strict=True) if not isinstance(seq, int)]
            if not left:
                break
        return [item for item, _ in left]

    @staticmethod
    def refuse(items: Iterable[SendRequest]) -> None:
        """Have messages sent again whose copies are not written: the recipient drops the repeat."""
        for item in items:
            item.answer(Unavailable("The log did not take the copies; send the message again."))

    async def tell(self, sent: Sent) -> None:
        """Tell the other devices of senders who gave no copies, where there are any."""
        sent = [each for each in sent if not each[0].to_self]
        names = {item.principal.username for item, _ in sent}
        people = {name: self._directory.peek(name) for name in names}
        if None in people.values():
            people |= await self._directory.people(names)
        told = []
        for each in sent:
            me = people.get(each[0].principal.username)
            if me is not None and me.devices - {each[0].principal.device}:
                told.append(each)
        if told and (left := await self.write(told)):
            self.lost += len(left)
            log.warning("copies_lost", count=len(left))

    @property
    def _records(self) -> int:
        return self._sequencer.records
