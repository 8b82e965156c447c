"""Repeats of earlier sends: whoever sends an id again is told what it was told the first time."""

from collections.abc import Sequence

from api.identity.directory import Directory
from api.sending.answers import Answers
from api.sending.copies import Copies
from api.sending.send_request import SendRequest, answer_of, had_copies, matches_own_devices
from api.sending.sequence import Sequencer
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT, shard_of
from storage.mailbox_rows import MailboxDocument, Stub
from storage.ports import Accepted, Store
from storage.records import MessageKey


class Repeats:
    """Finds what was answered earlier: in memory, in Redis, in the recipient's mailbox."""

    def __init__(
        self,
        answers: Answers,
        store: Store,
        sequencer: Sequencer,
        directory: Directory,
        copies: Copies,
    ) -> None:
        self._answers = answers
        self._copies = copies
        self._store = store
        self._sequencer = sequencer
        self._directory = directory

    async def unknown(self, items: Sequence[SendRequest]) -> list[SendRequest]:
        """Answer the items that were answered lately; return those that remain, in order."""
        await self._answers.recall(items)
        await self._forget_lost(items)
        return [item for item in items if not answer_known(item, self._answers.get(item.key))]

    async def answer_stored(self, user: str, items: Sequence[SendRequest]) -> None:
        """Answer the items that are in the recipient's mailbox already, or went nowhere before."""
        if not items:
            return
        stored: dict[MessageKey, MailboxDocument | Stub] = {}
        stored |= await self._store.mailboxes.find_causes(user, [item.frame.id for item in items], SEQ_LIMIT)
        if missing := [item.frame.id for item in items if _stored_key(item) not in stored]:
            stored = {**await self._store.mailboxes.find_stubs(user, missing), **stored}
        for item in items:
            document = stored.get(_stored_key(item))
            known = None if document is None else answer_of(document, item.frame.to)
            if known is not None and item.frame.own is not None:
                await self._write_owed(item, known, document)
            answer_known(item, known)

    async def _write_owed(
        self, item: SendRequest, known: Accepted, document: MailboxDocument | Stub | None
    ) -> None:
        """Write the copies that come with a message that is stored already, or refuse it.

        Whoever accepted it may have ended before the copies were written. They are still owed if it was
        sealed again since, for devices that have come, and so is no longer the same. It is to be sealed for
        all that there are: from `id_reused` its sender learns that it is there, and sends no more copies.
        """
        if not is_same(item, known) and not matches_own_devices(item):
            return
        if item.copies and had_copies(document):
            self._copies.refuse(await self._copies.write([(item, known)]))

    async def _forget_lost(self, items: Sequence[SendRequest]) -> None:
        """Forget answers for messages that went down with an earlier log: they are to be accepted again."""
        top = self._sequencer.top_base
        for item in items:
            known = self._answers.get(item.key)
            if known is None or known.seq >= top:
                continue
            person = (await self._directory.people([item.frame.to])).get(item.frame.to)
            if person is None or known.seq >= self._sequencer.base_of(
                shard_of(person.user, self._sequencer.shards)
            ):
                continue
            if not await self._sequencer.survives(person.user, known.seq):
                self._answers.forget(item.key)


def _stored_key(item: SendRequest) -> MessageKey:
    return item.principal.user, item.principal.device, item.frame.id


def is_same(item: SendRequest, known: Accepted) -> bool:
    """Return whether what was answered before was the same content: what has expired cannot be compared."""
    return known.digest in (item.digest, b"")


def answer_known(item: SendRequest, known: Accepted | None) -> bool:
    """Answer a send by what was answered before; says whether anything was."""
    if known is None:
        return False
    item.answer(
        known
        if is_same(item, known)
        else RoostError("id_reused", "This id was already used for different content; use a new id.")
    )
    return True
