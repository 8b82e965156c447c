"""The truth of a run: everything that people meant, sent and were told, and the checks of every step.

What must hold when a run has come to rest is in `sim.deterministic.rest`.
"""

from collections import defaultdict
from typing import Any

from actors.user import effects as do
from roost import wire
from roost.client import events
from roost.client.state import State
from sim.deterministic.facts import Message, Told, Violation
from sim.deterministic.stores import Store
from sim.deterministic.sweeps import Sweeps
from sim.deterministic.wakeups import Wakeups
from storage.mailbox_rows import copies_digest
from storage.records import MessageRecord, SentRecord, decode_record


class Truth:
    """What really happened, seen from outside of the rules.

    Attributes:
        store: What hosts have written.
        messages: What was meant, by id.
        owner: The user of each device.
        blocked: From which number of a user's mailbox to which a peer was blocked, None: it still is.
        gone: Numbers of each mailbox that went down with a log before they were stored.
        logs_lost: How many logs were lost.
        parted: Some host lost a shard, or died, with what it had to store.
        overtaken: Users whom a host refused a cursor while there was more in the log than had come to it. One
            before it, which had not heard that it was replaced, may have told of an entry: their devices
            begin again at what they acknowledged, and are told nothing twice.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.messages: dict[str, Message] = {}
        self.owner: dict[str, str] = {}
        self._expiring: set[tuple[str, int]] = set()
        self._told: dict[str, Told] = defaultdict(Told)
        self._by_pair: dict[tuple[str, str], list[Message]] = defaultdict(list)
        self._read: dict[tuple[str, str], int] = {}
        self.blocked: dict[tuple[str, str], list[tuple[int, int | None]]] = defaultdict(list)
        self.gone: set[tuple[str, int]] = set()
        self._copies: dict[bytes, list[str]] = {b"": []}
        self.wakeups = Wakeups()
        self.sweeps = Sweeps(store)
        self.logs_lost = 0
        self.parted = False
        self.overtaken: set[str] = set()
        self._meant = 0

    # --- the sender's side ---

    def meant(self, device: str, to: str, message_id: str, content: bytes, *, expires_ms: int = 0) -> None:
        """An app hands a message to the client."""
        self._meant += 1
        message = Message(message_id, self.owner[device], device, to, content, self._meant)
        mine = self.store.devices[message.sender]
        message.expires_ms = expires_ms
        message.alone = to == message.sender and not any(e.keys and e.device != device for e in mine)
        self.messages[message_id] = message
        self._by_pair[message.sender, to].append(message)

    def sealed(self, own: dict[str, bytes] | None) -> None:
        """A phone has sealed a message, and these copies of it for its user's other devices."""
        self._copies[copies_digest(own)] = list(own or ())

    def saved(self, device: str, state: State) -> None:
        """A phone has saved its profile."""
        for message_id in state.outbox:
            self.messages[message_id].saved = True
        told = self._told[device]
        for message_id in told.ids[told.kept :]:
            self.messages[message_id].kept_by.append(device)
        told.kept = len(told.ids)
        for message_id in told.copies[told.copies_kept :]:
            self.messages[message_id].copied_by.append(device)
        told.copies_kept = len(told.copies)

    def killed(self, device: str) -> None:
        """An app was killed: what it did not save never was."""
        told = self._told[device]
        del told.ids[told.kept :]
        del told.copies[told.copies_kept :]
        told.marks.clear()
        for message in [m for m in self.messages.values() if m.device == device and not m.saved]:
            del self.messages[message.id]
            self._by_pair[message.sender, message.to].remove(message)

    def appended(self, seq: int, value: bytes) -> None:
        """The log has taken a record, with this number."""
        record = decode_record(value)
        if isinstance(record, MessageRecord | SentRecord) and record.expires_at_ms is not None:
            self._expiring.add((record.to, seq))
        if isinstance(record, MessageRecord):
            message = self.messages.get(record.cause)
            if message is None:
                raise Violation("phantom", f"no one sent {record}")
            message.seqs.append(seq)
            message.copies_for[seq] = self._copies[record.own]
        elif isinstance(record, SentRecord) and record.payloads:
            self.messages[record.cause].copy_seqs.append(seq)

    def log_lost(self, users: list[str]) -> None:
        """A log is gone: what of it is not stored may never become an entry."""
        self.logs_lost += 1
        for message in self.messages.values():
            if message.to in users:
                stored = self.store.documents.get(message.to, {})
                self.gone |= {(message.to, seq) for seq in message.seqs if seq not in stored}
            if message.sender in users:
                stored = self.store.documents.get(message.sender, {})
                self.gone |= {(message.sender, seq) for seq in message.copy_seqs if seq not in stored}

    def effect(self, user: str, effect: do.Effect) -> None:
        """An actor wants something done."""
        if isinstance(effect, do.PutBlock):
            self.blocked[user, effect.block.peer].append((effect.block.since_seq, effect.block.until_seq))
        elif isinstance(effect, do.EmitReceipt):
            self._check_claims(effect.to, user, effect.delivered_seq, effect.read_seq)

    def is_blocked(self, message: Message) -> bool:
        """Return whether some record of the message fell into a block."""
        return any(
            since <= seq and (until is None or seq < until)
            for since, until in self.blocked[message.to, message.sender]
            for seq in message.seqs
        )

    def was_swept(self, message: Message) -> bool:
        """Return whether a sweep took some record of the message."""
        return any((message.to, seq) in self.sweeps.taken for seq in message.seqs)

    def may_be_unread(self, message: Message) -> bool:
        """Return whether it may have gone before anyone had it, which no watermark says."""
        return bool(message.expires_ms) or self.was_swept(message)

    def went_down(self, message: Message) -> bool:
        """Return whether every record of the message was lost with its log."""
        return all((message.to, seq) in self.gone for seq in message.seqs)

    def came_late(self, message: Message) -> bool:
        """Return whether it was stored when its log was gone, by a host that no longer serves its shard.

        Who serves the shard now may have told devices of later entries by then: they never ask for it.
        """
        stored = self.store.documents.get(message.to, {})
        return self.parted and self.went_down(message) and any(seq in stored for seq in message.seqs)

    def is_open(self, message_id: str) -> bool:
        """Return whether a message is to be delivered yet, or its sender is yet to be told that it was."""
        message = self.messages[message_id]
        if self.blocked[message.to, message.sender]:  # watermarks may stand still then
            return not message.kept_by and not self.is_blocked(message)
        return not self.was_swept(message)

    # --- the receiver's side ---

    def ready(self, device: str, cursor: int) -> None:
        """The server says where the stream begins."""
        self._told[device].chain = cursor
        self._told[device].missed = False

    def missed(self, device: str) -> None:
        """The server says that entries are gone, which only a device that was forgotten may be told."""
        if not self.sweeps.was_forgotten(device):
            raise Violation("missed", f"{device} is told of missing entries, and was never out of use")
        self._told[device].missed = True

    def ended(self, user: str, device: str, end: wire.Drained) -> None:
        """The server says where the backlog ends: with its last entry, or behind what has disappeared."""
        told = self._told[device]
        if end.prev > told.chain and not told.missed:
            raise Violation("chain", f"{device} has {told.chain}, then comes {end}")
        is_behind = end.cursor > max(end.prev, told.chain)
        if is_behind and (user, end.cursor) not in self._expiring and not told.missed:
            raise Violation("chain", f"nothing has disappeared before {end}, which comes to {device}")
        told.chain = max(told.chain, end.cursor)

    def cursor_refused(self, device: str) -> None:
        """The server does not know the phone's cursor."""
        overtaken = self.parted and self.owner[device] in self.overtaken
        swept = any(user == self.owner[device] for user, _ in self.sweeps.taken)
        if not (self.logs_lost or overtaken or swept or self._ends_with_one_blocked(device)):
            raise Violation("cursor", f"the cursor of {device} is not known, and no log was lost")
        self._told[device].refused += 1

    def _ends_with_one_blocked(self, device: str) -> bool:
        """Return whether its last message is from someone whom its user has blocked.

        A host that did not know that its shard was elsewhere may have told of it, and stores it late; where
        the shard is, it was handled after the block, as no entry.
        """
        ids = self._told[device].ids
        message = self.messages.get(ids[-1]) if ids else None
        return message is not None and bool(self.blocked[message.to, message.sender])

    def gap(self, device: str) -> None:
        """The client has found an omission."""
        raise Violation("chain", f"{device} sees a gap in its entries")

    def arrived(self, user: str, device: str, entry: Any) -> None:
        """An entry came over the wire."""
        told = self._told[device]
        gap = entry.prev > told.chain and told.missed
        if (entry.prev != told.chain and not gap) or entry.seq <= entry.prev:
            raise Violation("chain", f"{device} has {told.chain}, then comes {entry}")
        told.chain = entry.seq
        if isinstance(entry, wire.MessageEntry):
            message = self.messages.get(entry.id)
            if message is None or (message.to, message.content) != (user, entry.payload):
                raise Violation("phantom", f"{device} got {entry}")
        elif isinstance(entry, wire.SentEntry):
            self._check_copy(device, entry.id, entry.payload, entry)
        elif isinstance(entry, wire.ReceiptEntry):
            self._check_claims(user, entry.peer, entry.delivered_seq, entry.read_seq)
            before = told.marks.get(entry.peer, (0, 0))
            marks = (entry.delivered_seq, entry.read_seq)
            if marks[0] < before[0] or marks[1] < before[1]:
                raise Violation("receipt_backwards", f"{device} had {before} of {entry.peer}, then {entry}")
            told.marks[entry.peer] = marks

    def told(self, device: str, event: events.Event) -> None:
        """An app takes what it was told."""
        match event:
            case events.MessageReceived():
                self._message(device, event)
            case events.SentElsewhere():
                self._copy(device, event)
            case events.Delivered(ids=ids):
                for message_id in ids:
                    self._check_delivered(message_id, f"{device} is told {event}")
            case events.Missed() if not self._told[device].refused and not self.sweeps.was_forgotten(device):
                raise Violation("missed", f"{device} is told {event}, and was never out of use")
            case events.Expired(id=message_id):
                self._expired(device, message_id)
            case events.Failed():
                raise Violation("failed", f"{device} is told {event}")
            case _:
                return

    def _expired(self, device: str, message_id: str) -> None:
        message = self.messages[message_id]
        if not message.expires_ms:
            raise Violation("expired", f"{device} is told that {message} has disappeared")
        message.expired = True

    def _message(self, device: str, event: events.MessageReceived) -> None:
        message = self.messages.get(event.id)
        if message is None or (message.to, message.content) != (self.owner[device], event.content):
            raise Violation("phantom", f"{device} is told {event}")
        ids = self._told[device].ids
        if event.id in ids:
            raise Violation("duplicated", f"{device} is told {event} again")
        later = [
            i
            for i in ids
            if self.messages[i].device == message.device and self.messages[i].order > message.order
        ]
        # Of one that was on its way when its time was over its sender knows no more, and goes on without it.
        is_out = message.expired or any((message.to, seq) in self.gone for seq in message.seqs)
        if later and not is_out:
            raise Violation("reordered", f"{device} is told {event} after {self.messages[later[0]]}")
        ids.append(event.id)
        self._told[device].numbers[event.id] = event.seq

    def _check_copy(self, device: str, message_id: str, payload: bytes | None, story: Any) -> None:
        message = self.messages.get(message_id)
        if message is None or message.sender != self.owner[device] or message.device == device:
            raise Violation("phantom", f"{device} got {story}")
        if payload not in {None, message.content}:
            raise Violation("phantom", f"{device} got {story}")

    def _copy(self, device: str, event: events.SentElsewhere) -> None:
        self._check_copy(device, event.id, event.content, event)
        message, told = self.messages[event.id], self._told[device]
        if event.id in told.copies:
            raise Violation("duplicated", f"{device} is told {event} again")
        later = [
            each
            for each in map(self.messages.__getitem__, told.copies)
            if (each.device, each.to) == (message.device, message.to) and each.order > message.order
        ]
        if later and not any((message.to, seq) in self.gone for seq in message.seqs):
            raise Violation("reordered", f"{device} is told {event} after {later[0]}")
        if event.content is not None:
            told.copies.append(event.id)

    def mark_read(self, device: str, peer: str) -> int:
        """A user has read all of a peer that this device's app has; returns its highest number, 0 if none."""
        told = self._told[device]
        mine = [self.messages[i] for i in told.ids if self.messages[i].sender == peer]
        for message in mine:
            message.read = True
        upto = max((told.numbers[message.id] for message in mine), default=0)
        key = self.owner[device], peer
        self._read[key] = max(upto, self._read.get(key, 0))
        return upto

    def _check_delivered(self, message_id: str, story: str) -> None:
        message = self.messages[message_id]
        if self.may_be_unread(message):
            return
        if message.to == message.sender:  # told when the mailbox has it, or where no other device is
            stored = self.store.documents.get(message.to, {})
            if not message.alone and not message.kept_by and not any(seq in stored for seq in message.seqs):
                raise Violation("receipt_without_delivery", f"{story}; no mailbox has {message}")
            return
        if not message.kept_by and not self.is_blocked(message) and not self.came_late(message):
            raise Violation("receipt_without_delivery", f"{story}; no device has {message}")

    def _check_claims(self, sender: str, receiver: str, delivered: int, read: int) -> None:
        mark = self._read.get((receiver, sender), 0)
        for message in self._by_pair[sender, receiver]:
            seqs = [seq for seq in message.seqs if (receiver, seq) not in self.gone]
            if not seqs or self.is_blocked(message) or sender == receiver or self.may_be_unread(message):
                continue
            first = min(seqs)
            if first <= delivered and not message.kept_by:
                story = (
                    f"{receiver} has all up to {delivered}, says {sender}'s receipt; no device has {message}"
                )
                raise Violation("receipt_without_delivery", story)
            if mark < first <= read and not message.read:
                story = (
                    f"{receiver} has read up to {read}, says {sender}'s receipt, and marked {mark}; {message}"
                )
                raise Violation("receipt_without_reading", story)
