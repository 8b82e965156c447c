"""The inbox: entries are decrypted in order, and handed to the app in order.

Pure but for the cryptography it calls. A message of a device that is not known yet waits until its sender's
keys have been asked for, and so do those that the same user sent after it; the others pass. Whatever is in a
message, it ends as an event.
"""

from collections import deque
from collections.abc import Callable

from roost.client import events
from roost.client.content import read
from roost.client.core.directory import Directory
from roost.client.core.session import Session
from roost.client.effects import Take
from roost.crypto import SUITE, DeviceSecrets, Heading, Undecryptable, open_sealed
from roost.ids import address_of, uuid7_ms
from roost.signing import DeviceKeys
from roost.wire import WINDOW, MessageEntry

ASKED_AT_MOST = 4
"""How often the keys of an unknown device are asked for."""

HELD_AT_MOST = WINDOW // 2
"""Messages that may wait for keys: the cursor stays before them, and the server's window is finite."""

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
                self._session.hold(take.entry)
                self._held.setdefault(take.entry.from_, deque()).append(take)
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

    def _head(self, peer: str) -> MessageEntry | None:
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

    def _must_wait(self, entry: MessageEntry) -> bool:
        if sum(map(len, self._held.values())) >= HELD_AT_MOST:
            return False
        return entry.from_ in self._held or self._sender_unknown(entry)

    def _sender_unknown(self, entry: MessageEntry) -> bool:
        if self._session.is_repeat(entry):
            return False
        if self._asked.get(entry.from_) == (entry.from_device, ASKED_AT_MOST):
            return False
        return self._directory.device(entry.from_, entry.from_device) is None

    def _open(self, entry: MessageEntry) -> events.Event | None:
        if self._session.is_repeat(entry):
            return None
        try:
            content = self._decrypt(entry)
        except Undecryptable as exc:
            reason, detail = exc.reason, exc.detail
        except Exception as exc:  # noqa: BLE001 - a stranger wrote it: whatever it does, the next one is read
            reason, detail = "malformed", f"The message cannot be opened ({type(exc).__name__})."
        else:
            self._session.telling(entry)
            return events.MessageReceived(
                entry.from_, entry.from_device, entry.id, entry.seq, content, entry.sent_at_ms, entry.at_ms,
                entry.expires_at_ms, read(content),
            )  # fmt: skip
        return events.Undecryptable(
            entry.from_, entry.from_device, entry.id, entry.seq, reason, detail, entry.sent_at_ms, entry.at_ms
        )

    def _decrypt(self, entry: MessageEntry) -> bytes:
        if entry.suite != SUITE:
            raise Undecryptable("unknown_suite", f"This version cannot read messages of suite {entry.suite}.")
        sender: DeviceKeys | None = self._directory.device(entry.from_, entry.from_device)
        if sender is None:
            raise Undecryptable("unknown_device", "The server gives no valid keys for the sender's device.")
        uuid7_ms(entry.id)  # its time is needed when the id is forgotten
        expected = Heading(
            address_of(entry.from_, self._server_name),
            entry.from_device,
            self._address,
            entry.id,
            entry.sent_at_ms,
        )
        return open_sealed(entry.payload, expected, self._secrets, sender)
