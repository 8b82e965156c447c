"""The invariants: everything that people meant, sent and were told, and the checks on it.

Cheap checks run with every step, the rest when the run has come to rest.
"""

from collections import defaultdict
from typing import Any

from msgspec import Struct, field

from actors.user import effects as do
from roost import wire
from roost.client import events
from roost.client.state import State
from sim.deterministic.stores import Store
from sim.deterministic.sweeps import Sweeps
from sim.deterministic.wakeups import Wakeups
from storage.mailbox_rows import MailboxDocument, copies_digest
from storage.records import KeysRecord, MessageRecord, SentRecord, decode_record


class Violation(Exception):  # noqa: N818 -- named for what was found
    """An invariant does not hold.

    Attributes:
        kind: One word for it.
    """

    def __init__(self, kind: str, story: str) -> None:
        super().__init__(f"{kind}: {story}")
        self.kind = kind


class Message(Struct):
    """A message that someone meant to send.

    Attributes:
        order: Position among all messages of the sending device.
        seqs: Every number that the log gave it.
        kept_by: Devices whose app has it for good.
        copy_seqs: Every number that the log gave a record with copies for the sender's other devices.
        copies_for: The devices that came with each of its numbers: those that its own copies were for.
        copied_by: Those of them whose app has its copy for good.
        alone: It is to oneself, and there was no other device to send it to when it was meant.
        expires_ms: After how long it disappears; 0 if it does not.
        expired: Its sender was told that it has.
        saved: The sender's phone has it for good.
        read: A device that has it was told to mark it as read.
    """

    id: str
    sender: str
    device: str
    to: str
    content: bytes
    order: int
    seqs: list[int] = field(default_factory=list)
    kept_by: list[str] = field(default_factory=list)
    copy_seqs: list[int] = field(default_factory=list)
    copies_for: dict[int, list[str]] = field(default_factory=dict)
    copied_by: list[str] = field(default_factory=list)
    alone: bool = False
    expires_ms: int = 0
    expired: bool = False
    saved: bool = False
    read: bool = False


class Told(Struct):
    """What one device's app was told.

    Attributes:
        ids: Messages, in order.
        numbers: The number that each came with.
        kept: How many of them survive a kill.
        copies: What the user's other devices sent, in order.
        copies_kept: How many of them survive a kill.
        chain: seq of the last entry on this connection, or of what has disappeared behind it.
        marks: Last watermarks of each peer in receipt entries.
        refused: How often the server did not know its cursor.
        missed: It was told that entries are gone, and may find a gap where they were.
    """

    ids: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    copies: list[str] = field(default_factory=list)
    copies_kept: int = 0
    chain: int = 0
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: int = 0
    missed: bool = False


class Truth:
    """What really happened, seen from outside of the rules.

    Attributes:
        logs_lost: How many logs were lost.
        parted: Some host lost a shard, or died, with what it had to store.
        overtaken: Users whom a host refused a cursor while there was more in the log than had come to it. One
            before it, which had not heard that it was replaced, may have told of an entry: their devices
            begin again at what they acknowledged, and are told nothing twice.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.messages: dict[str, Message] = {}
        self.owner: dict[str, str] = {}
        self._expiring: set[tuple[str, int]] = set()
        self._told: dict[str, Told] = defaultdict(Told)
        self._by_pair: dict[tuple[str, str], list[Message]] = defaultdict(list)
        self._read: dict[tuple[str, str], int] = {}
        self._blocked: dict[tuple[str, str], list[tuple[int, int | None]]] = defaultdict(list)
        self._gone: set[tuple[str, int]] = set()
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
        mine = self._store.devices[message.sender]
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
                stored = self._store.documents.get(message.to, {})
                self._gone |= {(message.to, seq) for seq in message.seqs if seq not in stored}
            if message.sender in users:
                stored = self._store.documents.get(message.sender, {})
                self._gone |= {(message.sender, seq) for seq in message.copy_seqs if seq not in stored}

    def effect(self, user: str, effect: do.Effect) -> None:
        """An actor wants something done."""
        if isinstance(effect, do.PutBlock):
            self._blocked[user, effect.block.peer].append((effect.block.since_seq, effect.block.until_seq))
        elif isinstance(effect, do.EmitReceipt):
            self._check_claims(effect.to, user, effect.delivered_seq, effect.read_seq)

    def is_blocked(self, message: Message) -> bool:
        """Return whether some record of the message fell into a block."""
        return any(
            since <= seq and (until is None or seq < until)
            for since, until in self._blocked[message.to, message.sender]
            for seq in message.seqs
        )

    def _was_swept(self, message: Message) -> bool:
        return any((message.to, seq) in self.sweeps.taken for seq in message.seqs)

    def _may_be_unread(self, message: Message) -> bool:
        """Return whether it may have gone before anyone had it, which no watermark says."""
        return bool(message.expires_ms) or self._was_swept(message)

    def _went_down(self, message: Message) -> bool:
        return all((message.to, seq) in self._gone for seq in message.seqs)

    def _came_late(self, message: Message) -> bool:
        """Return whether it was stored when its log was gone, by a host that no longer serves its shard.

        Who serves the shard now may have told devices of later entries by then: they never ask for it.
        """
        stored = self._store.documents.get(message.to, {})
        return self.parted and self._went_down(message) and any(seq in stored for seq in message.seqs)

    def is_open(self, message_id: str) -> bool:
        """Return whether a message is to be delivered yet, or its sender is yet to be told that it was."""
        message = self.messages[message_id]
        if self._blocked[message.to, message.sender]:  # watermarks may stand still then
            return not message.kept_by and not self.is_blocked(message)
        return not self._was_swept(message)

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
        return message is not None and bool(self._blocked[message.to, message.sender])

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
        is_out = message.expired or any((message.to, seq) in self._gone for seq in message.seqs)
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
        if later and not any((message.to, seq) in self._gone for seq in message.seqs):
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
        if self._may_be_unread(message):
            return
        if message.to == message.sender:  # told when the mailbox has it, or where no other device is
            stored = self._store.documents.get(message.to, {})
            if not message.alone and not message.kept_by and not any(seq in stored for seq in message.seqs):
                raise Violation("receipt_without_delivery", f"{story}; no mailbox has {message}")
            return
        if not message.kept_by and not self.is_blocked(message) and not self._came_late(message):
            raise Violation("receipt_without_delivery", f"{story}; no device has {message}")

    def _check_claims(self, sender: str, receiver: str, delivered: int, read: int) -> None:
        mark = self._read.get((receiver, sender), 0)
        for message in self._by_pair[sender, receiver]:
            seqs = [seq for seq in message.seqs if (receiver, seq) not in self._gone]
            if not seqs or self.is_blocked(message) or sender == receiver or self._may_be_unread(message):
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

    # --- put away ---

    def check_woken(self) -> None:
        """Check, when every phone has been put away, that each with a push token was woken for what waits."""
        for user in self._store.users:
            tokens = {each.device for each in self._store.devices[user] if each.push_token is not None}
            cursors = self._store.cursors.get(user, {})
            for document in self._store.mailbox(user):
                record = decode_record(document.record)
                if not isinstance(record, MessageRecord):
                    continue
                message = self.messages.get(record.cause)
                if message is None or self._came_late(message) or self.is_blocked(message):
                    continue
                if message.expires_ms:
                    continue
                for device in tokens & record.payloads.keys():
                    unread = device not in message.kept_by and cursors.get(device, 0) < document.seq
                    if unread and not self.wakeups.covered(user, device, document.seq):
                        raise Violation("not_woken", f"{device} was not woken for {message}")

    # --- at rest ---

    def check_rest(self, now_ms: int) -> None:
        """Check what must hold when nothing is in flight any more."""
        for message in self.messages.values():
            reached = message.kept_by or self.is_blocked(message) or self._came_late(message)
            went_nowhere = message.alone and not message.seqs  # it is told as delivered where it is
            went_nowhere = went_nowhere or self._may_be_unread(message)
            if message.saved and not reached and not went_nowhere:
                raise Violation("lost", f"no one ever got {message}")
            if message.saved and (device := self._lacks_copy(message)):
                raise Violation("lost", f"{device} has no copy of {message}")
        if unread := self.unread():
            raise Violation("lost", unread[0])
        for user in self._store.users:
            self._check_mailbox(user)
            self._check_disappeared(user, now_ms)

    def _check_disappeared(self, user: str, now_ms: int) -> None:
        for document in self._store.mailbox(user):
            record = decode_record(document.record)
            if 0 < document.expires_at_ms <= now_ms and any(getattr(record, "payloads", {}).values()):
                raise Violation("kept", f"the mailbox of {user} still has what has disappeared: {document}")

    def _lacks_copy(self, message: Message) -> str | None:
        """Return a device that came with the message and that has no copy, if its log was not lost.

        What was sent first counts, of what is left. When its answer was lost, it is perhaps sent once more
        for a device that has come since: to that one nothing was promised.
        """
        left_us = self._gone | self.sweeps.taken
        if message.expires_ms or any((message.sender, seq) in left_us for seq in message.copy_seqs):
            return None
        left = [seq for seq in message.seqs if (message.to, seq) not in self._gone] or message.seqs[-1:]
        promised = message.copies_for[left[0]] if left else []
        return next((device for device in promised if device not in message.copied_by), None)

    def _check_mailbox(self, user: str) -> None:
        documents = self._store.mailbox(user)
        ids = [document.cause for document in documents if document.kind == "m"]
        if len(set(ids)) != len(ids):
            raise Violation("duplicated", f"the mailbox of {user} holds a message twice: {ids}")
        wanted = {
            m.id
            for m in self.messages.values()
            if m.to == user and m.saved and not self.is_blocked(m) and not self._went_down(m)
            if not m.expired and not self._was_swept(m)
        }
        if not_stored := sorted(wanted - set(ids)):
            raise Violation("not_stored", f"the mailbox of {user} lacks {not_stored}")
        if risen := [each for each in documents if (user, each.seq) in self.sweeps.taken]:
            raise Violation("risen", f"the mailbox of {user} holds again what was swept: {risen[0]}")
        was_swept = any(each == user for each, _ in self.sweeps.taken)
        before = documents[0].prev if was_swept and documents else 0
        for document in documents:
            skips = document.prev != before and not self.logs_lost
            if skips and not self._skips_blocked(document, documents):
                raise Violation("chain", f"in the mailbox of {user}, {before} comes before {document}")
            before = document.seq

    def _skips_blocked(self, document: MailboxDocument, documents: list[MailboxDocument]) -> bool:
        """Return whether a document follows one that is there, but for what its writer knew as blocked.

        A block that is not in the store yet is known to one host only. If the shard is elsewhere meanwhile,
        the one stores as an entry what is none to the other, and the document that came first stays. No
        reader sees it: to a device, each entry follows the one that the device got before.
        """
        numbers = [each.seq for each in documents]
        skipped = [each for each in documents if document.prev < each.seq < document.seq]
        follows = document.prev == 0 or document.prev in numbers
        return self.parted and follows and all(self._fell_into_block(each) for each in skipped)

    def _fell_into_block(self, document: MailboxDocument) -> bool:
        """Return whether some host knew a stored record as one of a peer that was blocked."""
        record = decode_record(document.record)
        peer = record.user if isinstance(record, KeysRecord) else document.sender
        return any(
            since <= document.seq and (until is None or document.seq < until)
            for since, until in self._blocked[document.user, peer]
        )

    def unread(self) -> list[str]:
        """Return what is in a mailbox and has not come to every device that it is for."""
        found: list[str] = []
        for document in (each for user in self._store.users for each in self._store.mailbox(user)):
            record = decode_record(document.record)
            if isinstance(record, MessageRecord):
                message = self.messages[record.cause]
                # A block holds from when its host has it; another host may have stored what came in between,
                # before the block was in the store and its user was told that it is.
                if self._came_late(message) or self.is_blocked(message):
                    continue
                devices = [] if message.expires_ms else record.payloads
                missing = [device for device in devices if device not in message.kept_by]
                found += [f"{device} never got {message}, stored as {document.seq}" for device in missing]
            elif isinstance(record, SentRecord):
                message = self.messages[record.cause]
                if (document.user, document.seq) not in self._gone:
                    devices = [] if message.expires_ms else record.payloads
                    missing = [device for device in devices if device not in message.copied_by]
                    found += [f"{device} never got its copy of {message}" for device in missing]
        return found
