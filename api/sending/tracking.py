"""The sender's view of a message: whether it was accepted, is stored, was delivered or read."""

import asyncio
from functools import partial
from typing import Any

from msgspec import Struct

from actors.rpc import questions as q
from api.host_links import HostLinks
from api.identity.directory import Directory
from api.identity.limits import Limits
from api.identity.tokens import Principal
from api.mailbox.progress import find_message, find_stub, has_been_delivered
from api.sending.answers import Answers
from api.sending.send_request import answer_of
from api.sending.sequence import Sequencer
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import shard_of, uuid7_ms
from storage.mailbox_rows import MailboxDocument
from storage.ports import Accepted, Store

_PEERS_ASKED = 200
_PEERS_AT_ONCE = 8
_RECENT_MS = 600_000


class _Found(Struct, frozen=True):
    """An accepted message: what its sender was answered, and its entry where that was read.

    Attributes:
        stored: It was found in the store, so it cannot have gone down with a log.
    """

    answer: Accepted
    entry: MailboxDocument | None = None
    stored: bool = False


class MessageTracker:
    """Finds messages by the ids that their senders gave them."""

    def __init__(
        self,
        answers: Answers,
        store: Store,
        sequencer: Sequencer,
        directory: Directory,
        limits: Limits,
        hosts: HostLinks,
        clock: Clock,
    ) -> None:
        self._answers = answers
        self._store = store
        self._sequencer = sequencer
        self._directory = directory
        self._limits = limits
        self._hosts = hosts
        self._clock = clock

    async def state(self, sender: Principal, message_id: str, to: str | None) -> dict[str, Any]:
        """Return the message's state, as ``GET /v1/messages/{id}`` answers it.

        Args:
            sender: Who sent it.
            message_id: Its id.
            to: The recipient's username, where known: it makes the look-up cheaper.

        Raises:
            RoostError: ``unknown_message``, ``unknown_user``, ``rate_limited`` if too many mailboxes would
                have to be searched.
            Unavailable: The store or the sender's host does not answer, or there is no shard map yet.
        """
        reason = "No message with this id was accepted from this user."
        # What was answered once may have gone down with the log, and the message been sent again since.
        for look in (
            partial(self._recall, sender, message_id),
            partial(self._find, sender, message_id, to),
        ):
            found = await look()
            if found is None:
                continue
            person = await self._directory.known(found.answer.to)
            if found.stored or await self._sequencer.survives(person.user, found.answer.seq):
                head = {"id": message_id, "to": found.answer.to, "seq": found.answer.seq}
                return head | await self._progress(sender, person.user, message_id, found)
            reason = "The message was lost with the log; send it again with the same id."
        raise RoostError("unknown_message", reason)

    async def _recall(self, sender: Principal, message_id: str) -> _Found | None:
        """Look in what was answered lately, to any of the sender's devices."""
        person = (await self._directory.people([sender.username])).get(sender.username)
        devices = {sender.device, *(person.devices if person is not None else ())}
        answer = await self._answers.find([(device, message_id) for device in sorted(devices)])
        return None if answer is None else _Found(answer)

    async def _find(self, sender: Principal, message_id: str, to: str | None) -> _Found | None:
        """Look in the recipient's mailbox, or in those of all with whom there is a conversation."""
        if to is not None:
            person = await self._directory.known(to)
            return await self._find_in(sender, message_id, person.user, person.username)
        rows = await self._store.conversations.of_user(sender.user)
        rows.sort(key=lambda row: row.receipt_seq, reverse=True)
        for start in range(0, min(len(rows), _PEERS_ASKED), _PEERS_AT_ONCE):
            some = rows[start : start + _PEERS_AT_ONCE]
            found = await asyncio.gather(
                *(self._find_in(sender, message_id, row.peer, row.peer_name) for row in some)
            )
            hit = next((each for each in found if each is not None), None)
            if hit is not None:
                return hit
        return None

    async def _find_in(self, sender: Principal, message_id: str, user: str, name: str) -> _Found | None:
        self._limits.check_here("searches", sender.device)  # the mailbox may be long
        entry = await find_message(self._store, sender.user, user, message_id)
        kept = entry or await find_stub(self._store, sender.user, user, message_id)
        answer = None if kept is None else answer_of(kept, name)
        return None if answer is None else _Found(answer, entry, stored=True)

    async def _entry(
        self, sender: Principal, to: str, message_id: str, found: _Found
    ) -> MailboxDocument | None:
        """Return the entry of a message whose answer is known.

        It has the number that was answered, unless that is a repeat's, or the recipient drops what comes from
        the sender. Then the mailbox is searched: which must not show, so both count as a search.
        """
        if found.entry is not None:
            return found.entry
        if self._clock() - uuid7_ms(message_id) > _RECENT_MS:
            self._limits.check_here("searches", sender.device)
        seq = found.answer.seq
        for entry in await self._store.mailboxes.range(to, seq - 1, seq, 1):
            if entry.sender == sender.user and entry.cause == message_id:
                return entry
        return await find_message(self._store, sender.user, to, message_id)

    async def _progress(self, sender: Principal, to: str, message_id: str, found: _Found) -> dict[str, Any]:
        answer = await self._hosts.ask(sender.user, q.Watermarks(0, sender.user, to))
        marks = answer if isinstance(answer, q.Marks) else q.Marks(0, 0, 0, 0)
        seq = found.answer.seq
        progress: dict[str, Any] = {"state": "accepted", "accepted_at_ms": found.answer.accepted_at_ms}
        if marks.delivered_seq >= seq:
            progress |= {"state": "delivered", "delivered_at_ms": marks.delivered_at_ms}
            if marks.read_seq >= seq:
                progress |= {"state": "read", "read_at_ms": marks.read_at_ms}
            return progress
        entry = await self._entry(sender, to, message_id, found)
        if entry is not None and await has_been_delivered(self._store, entry):
            progress["state"] = "delivered"
        elif await self._is_stored(to, seq):
            progress["state"] = "stored"
        return progress

    async def _is_stored(self, to: str, seq: int) -> bool:
        """Return whether the record was handled. Not whether the entry exists: that would show a block."""
        states = await self._store.cluster.log_states()
        state = states.get(shard_of(to, self._sequencer.shards))
        return (state is not None and state.handled(seq)) or await self._store.mailboxes.exists(to, seq)
