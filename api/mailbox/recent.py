"""Mailbox entries for readers: what the store has, and what is in memory at the user's host only.

Hosts collect for up to a second before they store. The host is asked first and the store is read then: what
is stored in between is in both, and what was in memory is in one of them.
"""

from collections.abc import Iterable

from msgspec import Struct

from actors.rpc import questions as q
from api.host_links import HostLinks
from roost.errors import RoostError
from storage.mailbox_rows import Conversation, MailboxDocument, is_copy_to
from storage.ports import Store
from storage.records import MessageRecord, SentRecord, decode_record

_Senders = dict[str, list[tuple[int, int]]]


class Recent(Struct, frozen=True):
    """What of a user was in memory, when that was asked.

    Attributes:
        entries: Messages, and copies of what the user's devices sent, newest first.
        rows: Conversations, the newest of a pair last.
    """

    entries: list[MailboxDocument]
    rows: list[Conversation]

    async def conversations(self, store: Store, user: str) -> dict[str, Conversation]:
        """Return the user's conversations by peer."""
        return {row.peer: row for row in (*await store.conversations.of_user(user), *self.rows)}

    async def summary(self, store: Store, user: str, limit: int) -> _Senders:
        """Return ``{sender: [(seq, at_ms), ...]}``, newest first, of the last ``limit`` messages."""
        stored = await store.mailboxes.summary(user, limit)
        found = {(seq, at_ms, sender) for sender, pairs in stored.items() for seq, at_ms in pairs}
        found |= {
            (each.seq, each.at_ms, each.sender)
            for each in self.entries
            if each.kind == "m" and not each.silent
        }
        senders: _Senders = {}
        for seq, at_ms, sender in sorted(found, reverse=True)[:limit]:
            senders.setdefault(sender, []).append((seq, at_ms))
        return senders

    async def history(
        self, store: Store, user: str, peer: str, below: int, limit: int
    ) -> list[MailboxDocument]:
        """Return the messages from a peer, and copies of those to it, with ``seq < below``, newest first."""
        stored = await store.mailboxes.history(user, peer, below, limit, sent=True)
        found = {
            each.seq: each
            for each in self.entries
            if each.seq < below and (each.sender == peer or is_copy_to(each, peer))
        }
        found |= {each.seq: each for each in stored}
        return [found[seq] for seq in sorted(found, reverse=True)[:limit]]


async def recent(hosts: HostLinks, user: str) -> Recent:
    """Ask the user's host. Ask before the store is read.

    Raises:
        Unavailable: The host does not answer: what is in the store may not be all.
    """
    answer = await hosts.ask(user, q.Unstored(0, user))
    if not isinstance(answer, q.InMemory):
        raise RoostError("internal", "The mailbox's host gave an unexpected answer.")
    return Recent(list(_entries(user, answer.entries[::-1])), answer.rows)


def _entries(user: str, entries: Iterable[tuple[int, bytes]]) -> Iterable[MailboxDocument]:
    for seq, value in entries:
        record = decode_record(value)
        if isinstance(record, MessageRecord):
            yield MailboxDocument(
                user,
                seq,
                0,
                "m",
                record.sender,
                record.sender_device,
                record.cause,
                record.accepted_at_ms,
                value,
                silent=record.silent,
            )
        elif isinstance(record, SentRecord):
            yield MailboxDocument(user, seq, 0, "s", "", "", record.cause, record.at_ms, value)
