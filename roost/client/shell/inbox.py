"""The inbox: entries are decrypted in order, and handed to the app in order.

Pure but for the cryptography it calls. A message of a device that is not known yet holds up
what came after it, until the sender's keys have been asked for.
"""

from collections import deque
from collections.abc import Callable

from roost.client import events
from roost.client.core.directory import Directory
from roost.client.core.session import Session
from roost.client.effects import Take
from roost.crypto import SUITE, DeviceSecrets, Heading, Undecryptable, open_sealed
from roost.ids import address_of
from roost.signing import DeviceKeys
from roost.wire import MessageEntry

ASKED_AT_MOST = 4
"""How often the keys of an unknown device are asked for."""

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
        self._asked: tuple[str, str, int] = ("", "", 0)

    def add(self, take: Take) -> None:
        """Queue what the core gave."""
        self._queue.append(take)

    def process(self, deliver: Deliver) -> str | None:
        """Hand on what can be; return the peer whose keys are needed to go on, if one's are."""
        while self._queue:
            take = self._queue[0]
            if take.entry is not None and self._sender_unknown(take.entry):
                return take.entry.from_
            # Off the queue first: what is told may lead back here.
            self._queue.popleft()
            if take.entry is not None:
                deliver(self._open(take.entry), take.seq)
            else:
                for event in take.events:
                    deliver(event, 0)
                deliver(None, take.seq)
        return None

    def asked(self, peer: str) -> int:
        """The peer's keys have just been asked for; returns how often, without learning the sender's.

        A device may be so new that not every server knows it yet: only what stays unknown is given up.
        """
        head = self._queue[0].entry if self._queue else None
        if head is None or head.from_ != peer or self._directory.device(peer, head.from_device) is not None:
            return 0
        user, device, times = self._asked
        times = times + 1 if (user, device) == (peer, head.from_device) else 1
        self._asked = (peer, head.from_device, times)
        return times

    def _sender_unknown(self, entry: MessageEntry) -> bool:
        if self._session.is_repeat(entry) or self._asked == (entry.from_, entry.from_device, ASKED_AT_MOST):
            return False
        return self._directory.device(entry.from_, entry.from_device) is None

    def _open(self, entry: MessageEntry) -> events.Event | None:
        if self._session.is_repeat(entry):
            return None
        try:
            content = self._decrypt(entry)
        except Undecryptable as exc:
            return events.Undecryptable(
                entry.from_, entry.from_device, entry.id, entry.seq, exc.reason, exc.detail
            )
        self._session.telling(entry)
        return events.MessageReceived(
            entry.from_, entry.from_device, entry.id, entry.seq, content, entry.sent_at_ms, entry.at_ms
        )

    def _decrypt(self, entry: MessageEntry) -> bytes:
        if entry.suite != SUITE:
            raise Undecryptable("unknown_suite", f"This version cannot read messages of suite {entry.suite}.")
        sender: DeviceKeys | None = self._directory.device(entry.from_, entry.from_device)
        if sender is None:
            raise Undecryptable("unknown_device", "The server gives no valid keys for the sender's device.")
        expected = Heading(
            address_of(entry.from_, self._server_name),
            entry.from_device,
            self._address,
            entry.id,
            entry.sent_at_ms,
        )
        return open_sealed(entry.payload, expected, self._secrets, sender)
