"""Positions of a mailbox: which cursors a client may read on from."""

from collections.abc import Iterable

from actors.user import events as ev
from actors.user.devices import Devices
from actors.user.head import Head
from actors.user.peers import Peers


class Positions:
    """Tells the cursors that are positions of a mailbox from foreign ones.

    A cursor that a client kept over a loss of data, or has of another account, would make it skip entries in
    silence. So a cursor must be the seq of an entry, or a number that may have been one.

    Args:
        head: The entries in memory.
        devices: Know how far each has acknowledged.
        peers: Know the last receipt of each conversation.
    """

    __slots__ = ("_devices", "_facts", "_head", "_peers")

    def __init__(self, head: Head, devices: Devices, peers: Peers) -> None:
        self._head, self._devices, self._peers = head, devices, peers
        self._facts: dict[int, bool] = {}

    def lacks(self, device: str, cursor: int | None) -> list[ev.Unknown]:
        """Return what is to be looked up before it is known whether the cursor is a position."""
        if cursor is not None and self.has(device, cursor) is None:
            return [ev.CursorUnknown(cursor)]
        return []

    def learn(self, facts: Iterable[tuple[int, bool]]) -> None:
        """Take what was found in the stores."""
        self._facts.update(facts)

    def has(self, device: str, cursor: int | None) -> bool | None:
        """Return whether the cursor is a position; None: look it up. No cursor means the stored one."""
        state = self._devices.get(device)
        if cursor is None or state is None or cursor in {0, state.cursor}:
            return True
        if cursor < 0 or cursor > self._head.handled:
            return False
        if any(cursor <= row.receipt_seq for row in self._peers.rows.values()):
            # It may be a receipt that a later one has replaced: no entry has that number now.
            return True
        if cursor > self._head.evicted:
            return any(item.seq == cursor for item in self._head)
        return self._facts.get(cursor)
