"""The inbox: entries are decrypted in order, and handed to the app in order.

Pure but for the cryptography it calls. A message of a device that is not known yet waits until its sender's
keys have been asked for, and so do those that the same user sent after it; the others pass. Whatever is in a
message, it ends as an event.
"""

from collections import deque
from collections.abc import Callable

from roost.client import events
from roost.client.core.directory import Directory
from roost.client.core.session import Session
from roost.client.effects import Take
from roost.crypto import SUITE, DeviceSecrets, Heading, Undecryptable, open_sealed
from roost.ids import address_of, uuid7_ms
from roost.signing import DeviceKeys
from roost.wire import WINDOW, MessageEntry, SentEntry

ASKED_AT_MOST = 4
"""How often the keys of an unknown device are asked for."""

HELD_AT_MOST = WINDOW // 2
"""Messages that others may pass while they wait for keys; beyond them all wait, in the server's window."""

Sealed = MessageEntry | SentEntry
"""What has a payload for this device: a message, or the copy of one that another own device sent."""

Deliver = Callable[[events.Event | None, int], None]
"""Hands on one event, and the seq that is taken once the app has it (0: none)."""


class Inbox:
    """Entries that have arrived and are not handed on yet.

    Args:
        session: Knows what the app has already.
        directory: Peers' keys.
        secrets: This device's keys.
        username: This user.
        server_name: For addresses.
    """

    def __init__(
        self,
        session: Session,
        directory: Directory,
        secrets: DeviceSecrets,
        username: str,
        server_name: str,
    ) -> None:
        self._session = session
        self._directory = directory
        self._secrets = secrets
        self._username = username
        self._address = address_of(username, server_name)
        self._server_name = server_name
        self._queue: deque[Take] = deque()
        self._held: dict[str, deque[Take]] = {}
        self._asked: dict[str, tuple[str, int]] = {}

    def add(self, take: Take) -> None:
        """Queue what the core gave."""
        self._queue.append(take)

    def process(self, deliver: Deliver) -> set[str]:
        """Hand on what can be; return the peers whose keys are needed to go on."""
        while self._queue:
            # Off the queue first: what is told may lead back here.
            take = self._queue.popleft()
            if take.entry is not None and self._must_wait(take.entry):
                if sum(map(len, self._held.values())) >= HELD_AT_MOST:
                    self._queue.appendleft(take)
                    break
                self._session.hold(take.entry)
                self._held.setdefault(self._author(take.entry), deque()).append(take)
            else:
                self._hand_on(take, deliver)
        return set(self._held)

    def release(self, peer: str, deliver: Deliver) -> None:
        """Hand on what waited for this peer's keys, up to a message of a device that is still unknown."""
        waiting = self._held.get(peer)
        while waiting and (entry := waiting[0].entry) is not None and not self._sender_unknown(entry):
            self._hand_on(waiting.popleft(), deliver)
        if waiting is not None and not waiting:
            self._held.pop(peer, None)
            self._asked.pop(peer, None)

    def waits_for(self, peer: str) -> bool:
        """Return whether messages wait for this peer's keys."""
        return peer in self._held

    def asked(self, peer: str) -> int:
        """The peer's keys have just been asked for; returns how often, without learning the sender's.

        A device may be so new that not every server knows it yet: only what stays unknown is given up.
        """
        head = self._head(peer)
        if head is None or self._directory.device(peer, head.from_device) is not None:
            return 0
        device, times = self._asked.get(peer, ("", 0))
        times = times + 1 if device == head.from_device else 1
        self._asked[peer] = (head.from_device, times)
        return times

    def give_up(self, peer: str) -> None:
        """The sender's keys cannot be had: its message ends as undecryptable with the next release."""
        if (head := self._head(peer)) is not None:
            self._asked[peer] = (head.from_device, ASKED_AT_MOST)

    def _author(self, entry: Sealed) -> str:
        return entry.from_ if isinstance(entry, MessageEntry) else self._username

    def _head(self, peer: str) -> Sealed | None:
        waiting = self._held.get(peer)
        return waiting[0].entry if waiting else None

    def _hand_on(self, take: Take, deliver: Deliver) -> None:
        if take.entry is not None:
            deliver(self._open(take.entry), take.seq)
            return
        for event in take.events:
            deliver(event, 0)
        # The mailbox may be read to its end and its last message wait: that one is not taken.
        deliver(None, 0 if self._session.holds(take.seq) else take.seq)

    def _must_wait(self, entry: Sealed) -> bool:
        return self._author(entry) in self._held or self._sender_unknown(entry)

    def _sender_unknown(self, entry: Sealed) -> bool:
        if entry.payload is None or self._session.is_repeat(entry):
            return False
        author = self._author(entry)
        if self._asked.get(author) == (entry.from_device, ASKED_AT_MOST):
            return False
        return self._directory.device(author, entry.from_device) is None

    def _open(self, entry: Sealed) -> events.Event | None:
        if self._session.is_repeat(entry):
            return None
        content, reason, detail = b"", "", ""
        try:
            content = b"" if entry.payload is None else self._decrypt(entry)
            uuid7_ms(entry.id)  # its time is needed when the id is forgotten
        except Undecryptable as exc:
            reason, detail = exc.reason, exc.detail
        except Exception as exc:  # noqa: BLE001 - a stranger wrote it: whatever it does, the next one is read
            reason, detail = "malformed", f"The message cannot be opened ({type(exc).__name__})."
        else:
            if entry.payload is not None:  # an added device may be told without, and then get its copy
                self._session.telling(entry)
        if isinstance(entry, SentEntry):
            return _copy(entry, content, reason, detail)
        if reason:
            return events.Undecryptable(
                entry.from_, entry.from_device, entry.id, entry.seq, reason, detail, entry.sent_at_ms,
                entry.at_ms,
            )  # fmt: skip
        return events.MessageReceived(
            entry.from_, entry.from_device, entry.id, entry.seq, content, entry.sent_at_ms, entry.at_ms,
            entry.expires_at_ms, silent=entry.silent,
            confirmed=self._directory.is_confirmed(entry.from_, entry.from_device),
        )  # fmt: skip

    def _decrypt(self, entry: Sealed) -> bytes:
        if entry.suite != SUITE:
            raise Undecryptable("unknown_suite", f"This version cannot read messages of suite {entry.suite}.")
        author = self._author(entry)
        sender: DeviceKeys | None = self._directory.device(author, entry.from_device)
        if sender is None:
            raise Undecryptable("unknown_device", "The server gives no valid keys for the sender's device.")
        # A copy has the heading of the message itself: it cannot be passed off as one to this user.
        recipient = self._address
        if isinstance(entry, SentEntry):
            recipient = address_of(entry.to, self._server_name)
        heading = Heading(
            address_of(author, self._server_name), entry.from_device, recipient, entry.id, entry.sent_at_ms
        )
        return open_sealed(entry.payload or b"", heading, self._secrets, sender)


def _copy(entry: SentEntry, content: bytes, reason: str, detail: str) -> events.SentElsewhere:
    opened = entry.payload is not None and not reason
    return events.SentElsewhere(
        entry.id, entry.to, entry.from_device, entry.to_seq, entry.sent_at_ms, entry.at_ms,
        content if opened else None, None, entry.expires_at_ms, entry.silent, reason, detail,
    )  # fmt: skip
