"""How much others may send to a user before it is fetched. Pure.

Three budgets, each a number of messages and their bytes:

* *The mailbox*: what no device has acknowledged yet, whoever wrote it; copies of what the user's own devices
  sent are among it.
* *All strangers together*: a part of that, so that strangers never fill the mailbox and a contact
  always gets through. Strangers are those whom the user neither wrote to nor accepted.
* *One stranger*. With `requests`, while a conversation waits to be accepted, it is a handful of messages, and
  fetching them gives no new ones.

What is here already is never dropped: a full budget refuses what comes next. Gateways ask then before they
accept (`Quota.refuses`), and until the news has reached them a few messages more come in.

    strangers may send 3 messages each
    1010 1013 1014 from Eve      nothing is fetched         Eve is refused, Bob is not
    all is acknowledged                                     Eve may send 3 again; with `requests` not

A stranger who is blocked is counted on, so that being blocked looks no different from not being answered.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.user import effects as do
from actors.user import events as ev
from actors.user.errors import InvariantError
from actors.user.events import Item
from actors.user.peers import Peers
from storage.mailbox_rows import Conversation
from storage.records import MessageRecord, weight_of

_STEPS = 8
"""A stranger's count is stored each time an eighth of the budget has come: a crash forgets no more."""

_AGAIN_MS = 1_000
"""Gateways are told again that the mailbox is full with what comes, at most this often."""


UNBOUNDED: Final = 2**62


class Budget(Struct, frozen=True):
    """So much may wait.

    Attributes:
        messages: Number of messages.
        size: Their bytes.
    """

    messages: int = UNBOUNDED
    size: int = UNBOUNDED

    def spent(self, messages: int, size: int) -> bool:
        """Return whether it is used up."""
        return messages >= self.messages or size >= self.size


class Quotas(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        mailbox: What no device has acknowledged.
        strangers: What of it all strangers together may have sent.
        stranger: What one of them may.
        request: What one of them may in all, with `requests`, before it is accepted.
        forget_ms: A stranger that was silent for so long may begin again.
    """

    mailbox: Budget = Budget(100_000, 512 * 1024 * 1024)
    strangers: Budget = Budget(60_000, 64 * 1024 * 1024)
    stranger: Budget = Budget(20_000, 8 * 1024 * 1024)
    request: Budget = Budget(20, 128 * 1024)
    forget_ms: int = 30 * 24 * 3600 * 1000


class Quota:
    """The budgets of one mailbox.

    Args:
        loaded: What the actor starts from.
        peers: Who is a stranger; the rows count what each has sent.
        quotas: The operator's.
        out: Effects go here.

    Attributes:
        messages: Messages, and copies of one's own, that no device has acknowledged.
        size: Their weight, in bytes.
    """

    __slots__ = (
        "_blocked", "_out", "_peers", "_quotas", "_spent", "_strange", "_strange_size", "_told_ms",
        "_written", "messages", "size",
    )  # fmt: skip

    def __init__(self, loaded: ev.Loaded, peers: Peers, quotas: Quotas, out: list[do.Effect]) -> None:
        self._peers, self._quotas, self._out = peers, quotas, out
        self.messages, self.size = loaded.undelivered
        waiting = [row for row in peers.rows.values() if row.strange > row.cleared and not row.with_contact]
        if not self.messages and not peers.user.requests:
            # All was fetched, and who had the user meanwhile did not come to write it down.
            peers.rows |= {row.peer: _cleared(row) for row in waiting}
            waiting = []
        self._strange = sum(row.strange - row.cleared for row in waiting)
        self._strange_size = sum(row.strange_size - row.cleared_size for row in waiting)
        # Few users have any of these, so they are made when they are needed.
        self._written = {row.peer: row.strange for row in waiting} or None
        self._spent = frozenset(row.peer for row in waiting if self._is_spent(row))
        self._blocked: dict[str, tuple[int, int]] | None = None
        self._told_ms = 0

    # --- what comes and what is fetched -----------------------------------------------------------

    def arrived(
        self, seq: int, record: MessageRecord, weight: int, now_ms: int, *, acknowledged: bool
    ) -> None:
        """A message became an entry, which a device may have acknowledged before it was replayed."""
        if not acknowledged:
            self.messages += 1
            self.size += weight
        sender = record.sender
        if not self._peers.is_contact(sender):
            self._stranger(seq, record, weight)
            self._tell(now_ms)
        elif self._told_ms or self._quotas.mailbox.spent(self.messages, self.size):
            self._tell(now_ms)

    def copied(self, weight: int, now_ms: int, *, acknowledged: bool) -> None:
        """A copy of what another device of the user sent became an entry: it waits here like a message."""
        if not acknowledged:
            self.messages += 1
            self.size += weight
            if self._told_ms or self._quotas.mailbox.spent(self.messages, self.size):
                self._tell(now_ms)

    def dropped(self, record: MessageRecord) -> None:
        """A blocked peer's message went nowhere: it counts against what that peer may send only."""
        if not self._peers.is_contact(record.sender):
            blocked = self._blocked = {} if self._blocked is None else self._blocked
            messages, size = blocked.get(record.sender, (0, 0))
            blocked[record.sender] = messages + 1, size + record.weight

    def fetched_all(self, now_ms: int) -> None:
        """A device acknowledged everything that came."""
        self.messages = self.size = 0
        if self._written and not self._peers.user.requests:
            for peer in list(self._written):
                self._clear(self._peers.rows[peer], everything=True)
        if self._told_ms:
            self._tell(now_ms)

    def fetched(self, items: Iterable[Item], now_ms: int) -> None:
        """A device acknowledged these entries as the first."""
        by_stranger: dict[str, tuple[int, int]] = {}
        for item in items:
            record = item.record
            if weight := weight_of(record):
                self.messages, self.size = max(0, self.messages - 1), max(0, self.size - weight)
                if self._written and isinstance(record, MessageRecord) and record.sender in self._written:
                    messages, size = by_stranger.get(record.sender, (0, 0))
                    by_stranger[record.sender] = messages + 1, size + weight
        if not self._peers.user.requests:
            for peer, (messages, size) in by_stranger.items():
                self._clear(self._peers.rows[peer], messages, size)
        if self._told_ms:
            self._tell(now_ms)

    def known(self, peer: str, now_ms: int) -> None:
        """A stranger became a contact: what it sent counts as any contact's."""
        if self._written and peer in self._written:
            self._forget(self._peers.rows[peer])
        if self._told_ms:
            self._tell(now_ms)

    # --- who may send -----------------------------------------------------------------------------

    def refuses(self, peer: str, now_ms: int) -> bool:
        """Return whether the next message of a peer is not to be accepted."""
        if self._quotas.mailbox.spent(self.messages, self.size):
            return True
        if self._peers.is_contact(peer):
            return False
        if self._written and peer in self._written:
            row = self._peers.rows[peer]
            if self._is_forgotten(row, now_ms):
                self._clear(row, everything=True)
        return (
            peer in self._spent
            or (self._blocked is not None and self._per_stranger.spent(*self._blocked.get(peer, (0, 0))))
            or self._quotas.strangers.spent(self._strange, self._strange_size)
        )

    @property
    def is_full(self) -> bool:
        """Whether a budget is used up: gateways are to ask who may send."""
        return (
            bool(self._spent)
            or self._quotas.mailbox.spent(self.messages, self.size)
            or self._quotas.strangers.spent(self._strange, self._strange_size)
        )

    def answer(self, event: ev.RoomAsked, now_ms: int) -> None:
        """Say whether a peer may send."""
        if self.refuses(event.sender, now_ms):
            detail = "The recipient has to fetch, or accept, what was sent before; try again later."
            self._out.append(do.Refuse(event.token, "mailbox_full", detail))
        else:
            self._out.append(do.AnswerDone(event.token))

    def _tell(self, now_ms: int) -> None:
        if self.is_full:
            if now_ms - self._told_ms >= _AGAIN_MS:
                self._told_ms = now_ms
                self._out.append(do.TellRoom(full=True))
        elif self._told_ms:
            self._told_ms = 0
            self._out.append(do.TellRoom(full=False))

    # --- strangers --------------------------------------------------------------------------------

    @property
    def _per_stranger(self) -> Budget:
        return self._quotas.request if self._peers.user.requests else self._quotas.stranger

    def _stranger(self, seq: int, record: MessageRecord, weight: int) -> None:
        peer, at_ms = record.sender, record.accepted_at_ms
        written = self._written = {} if self._written is None else self._written
        row = self._peers.row(peer, record.sender_name)
        if peer in written and self._is_forgotten(row, at_ms):
            self._clear(row, everything=True)
            row = self._peers.rows[peer]
        row = replace(
            row,
            strange=row.strange + 1,
            strange_size=row.strange_size + weight,
            strange_at_ms=max(at_ms, row.strange_at_ms),
        )
        self._strange += 1
        self._strange_size += weight
        before, was_spent, spent = written.setdefault(peer, row.strange - 1), peer in self._spent, False
        if self._is_spent(row):
            spent = True
            self._spent |= {peer}
        if spent != was_spent or (row.strange - before) * _STEPS >= max(_STEPS, self._per_stranger.messages):
            written[peer] = row.strange
            self._peers.put(row, seq)
        else:
            self._peers.rows[peer] = row

    def _clear(
        self, row: Conversation, messages: int = 0, size: int = 0, *, everything: bool = False
    ) -> None:
        """Count no longer so much of what a stranger sent, or any of it."""
        written = self._written or {}
        stored = written[row.peer] - row.cleared
        most, most_size = row.strange - row.cleared, row.strange_size - row.cleared_size
        # Other hosts may have counted other messages: who has none left has no bytes left either.
        everything = everything or messages >= most
        messages, size = (most, most_size) if everything else (messages, min(size, most_size))
        if not messages:
            return
        self._strange -= messages
        self._strange_size -= size
        row = replace(row, cleared=row.cleared + messages, cleared_size=row.cleared_size + size)
        if not self._is_spent(row):
            self._spent -= {row.peer}
        if row.cleared == row.strange:
            del written[row.peer]
        if stored > 0:  # else the store knows of nothing that is to be cleared
            self._peers.put(row, 0)
        else:
            self._peers.rows[row.peer] = row

    def _forget(self, row: Conversation) -> None:
        self._strange -= row.strange - row.cleared
        self._strange_size -= row.strange_size - row.cleared_size
        self._spent -= {row.peer}
        if self._written:
            del self._written[row.peer]

    def _is_spent(self, row: Conversation) -> bool:
        return self._per_stranger.spent(row.strange - row.cleared, row.strange_size - row.cleared_size)

    def _is_forgotten(self, row: Conversation, now_ms: int) -> bool:
        return row.strange_at_ms + self._quotas.forget_ms <= now_ms

    def check(self) -> None:
        """Raise `InvariantError` if the sums are not those of the strangers' rows."""
        written = self._written or {}
        rows = [self._peers.rows[peer] for peer in written]
        strange = sum(row.strange - row.cleared for row in rows)
        size = sum(row.strange_size - row.cleared_size for row in rows)
        if (strange, size) != (self._strange, self._strange_size):
            raise InvariantError(
                f"Strangers sent {strange} messages of {size} bytes, and "
                f"{self._strange} of {self._strange_size} are counted."
            )
        if self.messages < 0 or self.size < 0:
            raise InvariantError(f"{self.messages} messages of {self.size} bytes are not fetched.")
        if not self._spent <= written.keys():
            raise InvariantError(f"{self._spent - written.keys()} used up what is not counted.")


def _cleared(row: Conversation) -> Conversation:
    return replace(row, cleared=row.strange, cleared_size=row.strange_size)
