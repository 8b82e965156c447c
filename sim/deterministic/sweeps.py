"""What sweeps took, seen from outside: never what a device in use had not acknowledged."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from actors.host import HostSettings
from actors.host.upkeep.sweep_rules import Keep
from actors.host.upkeep.sweeper import SweepSettings
from actors.user.quota import UNBOUNDED, Budget, Quotas
from sim.deterministic.stores import Store
from storage.mailbox_rows import MailboxDocument
from storage.records import MessageRecord, SentRecord, decode_record

DEVICE_MS: Final = 60_000

KEEP: Final = Keep(entry_ms=20_000, delivered_ms=1_000, messages=3, size=0, device_ms=DEVICE_MS)
"""Limits of a small world: a few jumps of time, or a few messages, and a mailbox has old ones."""

QUOTAS: Final = Quotas(
    mailbox=Budget(4, UNBOUNDED), strangers=Budget(3, UNBOUNDED), stranger=Budget(2, UNBOUNDED)
)
EXPIRES_S: Final = 30


def host_settings(*, small: bool) -> HostSettings:
    """Return what hosts keep: in a small world little."""
    return HostSettings(sweep=SweepSettings(KEEP), quotas=QUOTAS) if small else HostSettings()


class Sweeps:
    """The sweeps of a run.

    Attributes:
        taken: User and number of each entry that is gone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forgotten: dict[str, int] = {}
        self._begun: dict[int, tuple[str, int]] = {}
        self._numbers = count()
        self.taken: set[tuple[str, int]] = set()

    def returned(self, device: str, now_ms: int) -> None:
        """A device connects: its session is renewed."""
        self.look(device, now_ms)
        self.stayed(device, now_ms)

    def stayed(self, device: str, now_ms: int) -> None:
        """A device has been connected all the time until now, and renewed its session whenever it was due."""
        self._store.used_ms[device] = now_ms

    def look(self, device: str, now_ms: int) -> None:
        """Note whether a device is forgotten at this moment."""
        if self._store.used_ms.get(device, 0) + DEVICE_MS <= now_ms:
            self._forgotten[device] = now_ms

    def was_forgotten(self, device: str) -> bool:
        """Return whether a device was not in use at some time of the run."""
        return device in self._forgotten

    @contextmanager
    def going_on(self, user: str, now_ms: int) -> Iterator[None]:
        """A host looks through a mailbox, by what it knows from this moment on."""
        number = next(self._numbers)
        self._begun[number] = user, now_ms
        try:
            yield
        finally:
            del self._begun[number]

    def too_soon(self, user: str, below: int, now_ms: int) -> str:
        """Return '' if a sweep that ends now may take what is below a number, else what it must not take.

        It goes by what it knew when it began, which may be some time ago: a device that came back since was
        forgotten then.
        """
        began_ms = min((at_ms for each, at_ms in self._begun.values() if each == user), default=now_ms)
        mailbox = self._store.mailbox(user)
        gone = [each for each in mailbox if each.seq < below]
        if gone and gone[-1].seq == mailbox[-1].seq:
            return f"the newest of {user}, {gone[-1]}"
        cursors = self._store.cursors.get(user, {})
        for device in self._store.devices[user]:
            self.look(device.device, now_ms)
            if self._forgotten.get(device.device, -1) >= began_ms:
                continue
            acked = cursors.get(device.device, device.from_seq)
            for document in gone:
                if document.seq > acked and self._is_for(document, device.device):
                    return f"{device.device}, which is in use, has acknowledged {acked}, not {document}"
        self.taken |= {(user, each.seq) for each in gone}
        return ""

    @staticmethod
    def _is_for(document: MailboxDocument, device: str) -> bool:
        record = decode_record(document.record)
        return isinstance(record, MessageRecord | SentRecord) and device in record.payloads
