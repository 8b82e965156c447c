"""Connections on which one lie is told, below the SDK, as a server or a network would tell it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import msgspec
import pytest

from roost.client.effects import Batch, Incoming, Opaque
from roost.client.transport import StreamTransport
from roost.clock import now_ms
from roost.ids import uuid7
from roost.wire import Accepted, ClientFrame, Entry, MessageEntry, ReceiptEntry, Send

Told = Entry | Opaque

_HONEST = 5
"""Messages that get through before the lie."""


class Liar(StreamTransport):
    """An honest connection: a lie is a subclass. What one of its kind has told, no other tells again."""

    told: ClassVar[bool] = False
    messages: ClassVar[int] = 0
    _end = 0

    async def read(self) -> list[Incoming]:
        frames = await super().read()
        for frame in frames:
            if isinstance(frame, Batch):
                frame.entries = [self._linked(each) for entry in frame.entries for each in self._seen(entry)]
        return frames

    def lie(self, entry: Told) -> list[Told]:
        """Return what is handed on instead of the entry."""
        return [entry]

    def has_lied(self) -> None:
        type(self).told = True

    def _seen(self, entry: Told) -> list[Told]:
        type(self).messages += isinstance(entry, MessageEntry)
        return self.lie(entry) if type(self).messages > _HONEST else [entry]

    def _linked(self, entry: Told) -> Told:
        """Hide the lie: the chain goes on as if nothing had been left out."""
        entry.prev = self._end or entry.prev
        self._end = entry.seq
        return entry


class Drops(Liar):
    def lie(self, entry: Told) -> list[Told]:
        if self.told or not isinstance(entry, MessageEntry):
            return [entry]
        self.has_lied()
        return []


class Swaps(Liar):
    """Hands on two messages the wrong way round, and what came between them between them."""

    held: tuple[Told, ...] = ()

    def lie(self, entry: Told) -> list[Told]:
        is_message = isinstance(entry, MessageEntry)
        if self.held and is_message:
            (first, *between), self.held = self.held, ()
            first.seq, entry.seq = entry.seq, first.seq
            self.has_lied()
            return [entry, *between, first]
        if self.held or (is_message and not self.told):
            self.held = (*self.held, entry)
            return []
        return [entry]


class Doubles(Liar):
    first: MessageEntry | None = None

    def lie(self, entry: Told) -> list[Told]:
        if self.told or not isinstance(entry, MessageEntry):
            return [entry]
        if self.first is None:
            self.first = entry
            return [entry]
        self.has_lied()
        return [msgspec.structs.replace(self.first, seq=entry.seq)]


class Invents(Liar):
    def lie(self, entry: Told) -> list[Told]:
        if self.told or not isinstance(entry, MessageEntry):
            return [entry]
        self.has_lied()
        return [msgspec.structs.replace(entry, id=uuid7(now_ms(), bytes(10)), payload=b"nobody wrote this")]


class Flips(Liar):
    def lie(self, entry: Told) -> list[Told]:
        if self.told or not isinstance(entry, MessageEntry):
            return [entry]
        self.has_lied()
        payload = bytes([entry.payload[0], entry.payload[1] ^ 1]) + entry.payload[2:]
        return [msgspec.structs.replace(entry, payload=payload)]


class Foretells(Liar):
    """Says that messages are delivered which were not sent yet."""

    def lie(self, entry: Told) -> list[Told]:
        if not self.told and isinstance(entry, ReceiptEntry):
            self.has_lied()
            entry.delivered_seq += 20
        return [entry]


class TakesBack(Liar):
    def lie(self, entry: Told) -> list[Told]:
        if not self.told and isinstance(entry, ReceiptEntry) and entry.delivered_seq > 1:
            self.has_lied()
            entry.delivered_seq = entry.read_seq = 1
        return [entry]


class Pretends(Liar):
    """Says that a message was accepted, and throws it away."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.pretended: list[Incoming] = []

    def write(self, frames: list[ClientFrame]) -> None:
        for frame in frames:
            if isinstance(frame, Send) and not self.told and self.messages > _HONEST:
                self.has_lied()
                self.pretended.append(Accepted(frame.id, 1, now_ms()))
            else:
                super().write([frame])

    async def read(self) -> list[Incoming]:
        frames = await super().read()
        pretended, self.pretended = self.pretended, []
        return [*pretended, *frames]


@contextmanager
def lying(monkeypatch: pytest.MonkeyPatch, kind: type[Liar]) -> Iterator[None]:
    """Let one lie of this kind be told to the next run's phones."""
    liar = type(kind.__name__, (kind,), {"told": False, "messages": 0})
    with monkeypatch.context() as patch:
        patch.setattr("sim.people.phone.StreamTransport", liar)
        patch.setattr("sim.people.light.StreamTransport", liar)
        yield
    assert liar.told, "the lie was never told"
