"""Tickets: who holds one owes a record a piece of durable work."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from actors.offsets import Offsets


class Ticket(Struct, frozen=True):
    """One piece of durable work of one record."""

    offsets: Offsets
    offset: int


Finished = Callable[[Sequence[Ticket]], None]
"""Called with the tickets of every write that is durable."""
