"""The people around a user: their conversations, who is blocked, and what each may know of the user."""

from msgspec.structs import replace

from actors.user import effects as do
from actors.user import events as ev
from actors.user.errors import InvariantError
from actors.user.head import Head
from storage.account_rows import User
from storage.mailbox_rows import Block, Conversation
from storage.records import ReceiptRecord

REVISIONS = 2**20
"""Revisions of blocks that a host can use: those of the next one are above them."""


class Peers:
    """What a user knows of its peers and lets them know.

    Args:
        loaded: What the actor starts from.
        head: Tells from which record on a block counts.
        out: Effects go here.

    Attributes:
        user: The account, with its settings.
        rows: The conversation with each peer, by user id.
        blocks: Blocks by user id, lifted ones too: a replay of the log must drop the same records again.
    """

    __slots__ = ("_head", "_out", "blocks", "rows", "user")

    def __init__(self, loaded: ev.Loaded, head: Head, out: list[do.Effect]) -> None:
        self.user: User = loaded.user
        self.rows = {row.peer: row for row in loaded.rows}
        self.blocks = {block.peer: block for block in loaded.blocks}
        self._head, self._out = head, out

    # --- conversations ----------------------------------------------------------------------------

    def row(self, peer: str, name: str) -> Conversation:
        """Return the row of a conversation; an empty one if there is none yet."""
        return self.rows.get(peer) or Conversation(self.user.user_id, peer, name)

    def put(self, row: Conversation, seq: int, token: object = None) -> None:
        """Keep a row; ``seq`` is the record that changed it, 0 if none did."""
        self.rows[row.peer] = row
        self._out.append(do.PutRow(row, seq, token))

    def wrote(self, peer: str, name: str, seq: int) -> None:
        """A peer's message became an entry: there is a conversation, and the peer has a part in it."""
        row = self.rows.get(peer)
        if row is None or not row.heard:
            self.put(replace(self.row(peer, name), heard=1), seq)

    def add_contact(self, event: ev.ContactMade) -> bool:
        """The user wrote to a peer, or accepted it; returns whether it was a stranger until now."""
        row = self.row(event.peer, event.peer_name)
        if row.contact:
            self._out.append(do.AnswerDone(event.token))
            return False
        self.put(replace(row, contact=1), 0, event.token)
        return True

    def received(self, seq: int, record: ReceiptRecord) -> ReceiptRecord | None:
        """A receipt came: raise what is known of the peer's watermarks.

        Returns:
            The receipt as devices get it, with what was known before; None if it says nothing new.
        """
        known = self.row(record.peer, record.peer_name)
        read = max(known.read_seq, record.read_seq)
        delivered = max(known.delivered_seq, record.delivered_seq, read)
        if (delivered, read) == (known.delivered_seq, known.read_seq):
            return None
        row = replace(
            known,
            delivered_seq=delivered,
            read_seq=read,
            delivered_at_ms=record.at_ms if delivered > known.delivered_seq else known.delivered_at_ms,
            read_at_ms=record.at_ms if read > known.read_seq else known.read_at_ms,
            receipt_seq=seq,
        )
        self.put(row, seq)
        return replace(record, delivered_seq=delivered, read_seq=read)

    def answer(self, event: ev.MarksAsked) -> None:
        """Say how far a peer has received and read."""
        self._out.append(do.AnswerMarks(event.token, self.rows.get(event.peer)))

    # --- blocks and privacy -----------------------------------------------------------------------

    def is_blocked(self, peer: str, seq: int) -> bool:
        """Return whether a record of the peer with this number goes nowhere."""
        block = self.blocks.get(peer)
        return (
            block is not None
            and block.since_seq <= seq
            and (block.until_seq is None or seq < block.until_seq)
        )

    def is_blocked_now(self, peer: str) -> bool:
        """Return whether the next record of the peer would go nowhere."""
        return self.is_blocked(peer, self._head.handled + 1)

    def block(self, event: ev.BlockAsked) -> bool:
        """Block or unblock from the next record on; returns whether that changes anything.

        What changes nothing is written as well where there is a block: the write that made it may not have
        reached the store yet, and the answer says that it holds. A host that had the user before, and has not
        heard that it lost it, may have changed the block more often: what it writes late counts for less.
        """
        known = self.blocks.get(event.peer)
        if known is None and not event.blocked:
            self._out.append(do.AnswerDone(event.token))
            return False
        changes = known is None or event.blocked != (known.until_seq is None)
        block = self._changed_block(event, known) if changes or known is None else known
        block = replace(block, revision=max(block.revision, event.since * REVISIONS))
        self.blocks[event.peer] = block
        self._out.append(do.PutBlock(block, event.token))
        return changes

    def _changed_block(self, event: ev.BlockAsked, known: Block | None) -> Block:
        following = self._head.handled + 1
        since, until = (following, None) if known is None or event.blocked else (known.since_seq, following)
        revision = 1 if known is None else known.revision + 1
        return Block(self.user.user_id, event.peer, event.peer_name, since, until, revision)

    def is_contact(self, peer: str) -> bool:
        """Return whether the user wrote to the peer, accepted it, or is it."""
        row = self.rows.get(peer)
        return (row is not None and row.with_contact) or peer == self.user.user_id

    def may_see_presence(self, peer: str) -> bool:
        """Return whether a peer may see the presence: by the user's settings, and never when blocked."""
        setting = self.user.last_seen
        if setting == "nobody" or self.is_blocked_now(peer):
            return False
        return (setting == "everyone" and not self.user.requests) or self.is_contact(peer)

    def may_see_receipts(self, peer: str) -> bool:
        """Return whether a peer may learn that the user has received something: never when blocked."""
        if self.is_blocked_now(peer):
            return False
        return self.user.tells_strangers or self.is_contact(peer)

    def may_show_typing(self, peer: str) -> bool:
        """Return whether the user sees that a peer is typing."""
        return not self.is_blocked_now(peer) and (not self.user.requests or self.is_contact(peer))

    def check(self) -> None:
        """Raise `InvariantError` if a row or block contradicts itself."""
        for peer, row in self.rows.items():
            if row.peer != peer or row.user != self.user.user_id:
                raise InvariantError(f"The conversation with {peer} is that of {row.user} with {row.peer}.")
            if row.read_seq > row.delivered_seq:
                raise InvariantError(f"{peer} has read {row.read_seq}, and received {row.delivered_seq}.")
            if row.repeated_upto > row.repeat_seq:
                raise InvariantError(f"{peer} wrote {row.repeated_upto} before the repeat {row.repeat_seq}.")
        for peer, block in self.blocks.items():
            if block.until_seq is not None and block.until_seq < block.since_seq:
                raise InvariantError(
                    f"The block of {peer} ends at {block.until_seq}, before {block.since_seq}."
                )
