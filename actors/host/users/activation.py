"""Queries for what actors need to know: their first state, and facts that an event lacks.

Look-ups of many users become few queries.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from actors.host.runtime import Runtime
from actors.host.users.page_sizes import PageSizes
from actors.host.users.snapshots import Snapshots
from actors.host.writes.writer import Pending, Writer
from actors.user import events as ev
from actors.user.events import Item
from actors.user.view import receipt_of
from roost.ids import SEQ_LIMIT
from roost.wire import WINDOW
from storage.account_rows import Device, User
from storage.mailbox_rows import MailboxDocument, merged
from storage.ports import Store
from storage.records import MessageKey, decode_record, weight_of

_MOST = 1_000_000
"""Entries one acknowledgement can cover; more than any mailbox holds."""

RECENT = WINDOW
"""So many stored entries an actor begins with, about."""

_ATTACHED = 2**15
"""A device whose cursor is no farther behind, in seqs, may have been attached a moment ago."""

_BEFORE = 512
"""How far before its cursor is looked: so far that there is likely to be an entry."""


class Activation:
    """Loads actors and facts: from MongoDB, from snapshots, and from what the writer has yet to write."""

    def __init__(self, store: Store, snapshots: Snapshots, writer: Writer, runtime: Runtime) -> None:
        self._store, self._snapshots, self._writer = store, snapshots, writer
        self._gather = runtime.gather
        self._sizes = PageSizes()

    async def account(self, user: str) -> tuple[User | None, tuple[Device, ...]]:
        """Return the user's account, None if there is none, and devices as they are in the store."""
        accounts, devices = await self._gather(
            self._store.accounts.users_by_id([user], opened=False),
            self._store.accounts.devices_of([user], opened=False),
        )
        return accounts.get(user), tuple(devices.get(user, ()))

    async def erased(self, users: Sequence[str]) -> set[str]:
        """Return those of these users who are erased, or being erased."""
        return await self._store.erasures.erased(users)

    async def load(self, floors: dict[str, int]) -> dict[str, ev.Loaded]:
        """Load actors: ``{user: floor}``, entries with ``seq >= floor`` do not count yet.

        Returns:
            The state of each user that exists.
        """
        # First what is on its way to the store: it may get there while the store is being read.
        pending = self._writer.pending(floors.keys())
        found = await self._snapshots.take(list(floors))
        rest = [user for user in floors if user not in found]
        if rest:
            found.update(await self._from_store({user: floors[user] for user in rest}))
        return {user: _with(loaded, pending[user]) for user, loaded in found.items()}

    async def _from_store(self, floors: dict[str, int]) -> dict[str, ev.Loaded]:
        users = list(floors)
        accounts, devices, (cursors, tails), blocks, rows = await self._gather(
            self._store.accounts.users_by_id(users, opened=False),
            self._store.accounts.devices_of(users, opened=False),
            self._cursors_and_tails(floors),
            self._store.accounts.blocks_of(users),
            self._store.conversations.of_users(users),
        )
        loaded: dict[str, ev.Loaded] = {}
        for user in users:
            account, tail = accounts.get(user), tails[user]
            if account is not None:
                mine = tuple(devices.get(user, ()))
                loaded[user] = ev.Loaded(
                    user=account,
                    devices=mine,
                    cursors=cursors.get(user, {}),
                    blocks=tuple(blocks.get(user, ())),
                    rows=tuple(rows.get(user, ())),
                    newest=tail[-1].greatest if tail else "",
                    tail=tail[-1].seq if tail else 0,
                    handled=floors[user] - 1,
                    recent=tuple(item_of(document) for document in tail),
                    totals=(tail[-1].messages, tail[-1].size) if tail else (0, 0),
                    undelivered=await self._undelivered(user, mine, cursors.get(user, {}), tail),
                )
        return loaded

    async def _undelivered(
        self,
        user: str,
        devices: tuple[Device, ...],
        cursors: dict[str, int],
        tail: list[MailboxDocument],
    ) -> tuple[int, int]:
        """Return how many messages up to the end of the tail no device has acknowledged, and their weight."""
        fetched = max((cursors.get(each.device, each.from_seq) for each in devices), default=0)
        if not tail or tail[-1].seq <= fetched:
            return 0, 0
        first = next(document for document in tail if document.seq > fetched)
        if first is tail[0] and first.prev > fetched:  # there are more before
            first = (await self._store.mailboxes.range(user, fetched, first.seq, 1) or [first])[0]
        return since(first, tail[-1])

    async def _cursors_and_tails(
        self, floors: dict[str, int]
    ) -> tuple[dict[str, dict[str, int]], dict[str, list[MailboxDocument]]]:
        cursors = await self._store.mailboxes.cursors_of(list(floors))
        tails = await self._gather(
            *(
                self._store.mailboxes.tail(user, tail_after(cursors.get(user, {}), floor), floor, RECENT)
                for user, floor in floors.items()
            )
        )
        return cursors, dict(zip(floors, tails, strict=True))

    # --- facts ------------------------------------------------------------------------------------

    async def facts(self, wanted: dict[str, list[ev.Unknown]]) -> dict[str, ev.Facts]:
        """Look up what the events of these users lack."""
        answers = await self._gather(*(self._facts_of(user, unknown) for user, unknown in wanted.items()))
        return dict(zip(wanted, answers, strict=True))

    async def _facts_of(self, user: str, unknown: Iterable[ev.Unknown]) -> ev.Facts:
        repeats: list[tuple[str, str, int]] = []
        cursors: list[tuple[int, bool]] = []
        items: list[tuple[int, int, tuple[Item, ...]]] = []
        for one in unknown:
            if isinstance(one, ev.RepeatUnknown):
                repeats.append((one.source, one.cause, await self._repeated_upto(user, one)))
            elif isinstance(one, ev.CursorUnknown):
                cursors.append((one.seq, await self._is_position(user, one.seq)))
            elif isinstance(one, ev.SendersUnknown):
                stored = await self._store.mailboxes.range(user, one.after, one.upto, _MOST)
                items.append((one.after, one.upto, tuple(item_of(document) for document in stored)))
        return ev.Facts(tuple(repeats), tuple(cursors), tuple(items))

    async def _is_position(self, user: str, seq: int) -> bool:
        """Return whether an entry has this number, or all from it on to the first that is left are gone.

        From there a client reads on as one whose cursor is older: it is told, and passes over nothing.
        """
        left = await self._store.mailboxes.range(user, seq - 1, SEQ_LIMIT - 1, 1)
        return bool(left) and (left[0].seq == seq or left[0].prev >= seq)

    async def _repeated_upto(self, user: str, unknown: ev.RepeatUnknown) -> int:
        key = unknown.sender, unknown.device, unknown.cause
        found = await self._store.mailboxes.find_causes(user, [unknown.cause], unknown.below)
        swept = 0 if key in found else await self._swept(user, key, unknown.below)
        if key not in found and not swept:
            return 0
        history = await self._store.mailboxes.history(user, unknown.sender, unknown.below, 1)
        return history[0].seq if history else swept

    async def _swept(self, user: str, key: MessageKey, below: int) -> int:
        """Return the number of a message that the mailbox held until it was swept, 0 if it never did."""
        stub = (await self._store.mailboxes.find_stubs(user, [key[2]])).get(key)
        return stub.seq if stub is not None and stub.swept and stub.seq < below else 0

    # --- pages ------------------------------------------------------------------------------------

    async def page(self, user: str, after: int, upto: int, limit: int) -> tuple[tuple[Item, ...], int, int]:
        """Read stored entries ``after < seq <= upto``, receipts among them.

        Returns:
            The entries, how far they reach, and up to where entries of that range are gone, 0 if none is.
        """
        limit = self._sizes.most(user, limit)
        documents, rows = await self._gather(
            self._store.mailboxes.range(user, after, upto, limit),
            self._store.conversations.receipts_after(user, after, upto),
        )
        page = unbroken(self._sizes.first(user, documents))
        through = page[-1].seq if len(documents) >= limit or len(page) < len(documents) else upto
        items = [item_of(document) for document in page]
        items += [receipt_of(row) for row in rows if row.receipt_seq <= through]
        items.sort(key=_seq)
        return tuple(items), through, await self._gone(user, page, after, upto)

    async def _gone(self, user: str, page: Sequence[MailboxDocument], after: int, upto: int) -> int:
        """Return up to where entries are gone: the first that is left names the one before it.

        If no entry of the range is left, it is the next one that is stored. What is behind the range is in
        memory, too, and would follow as if nothing had been before it. If it is not stored yet, the newest
        that is stored was never swept, and the range held nothing.
        """
        left = page or await self._store.mailboxes.range(user, upto, SEQ_LIMIT - 1, 1)
        return min(left[0].prev, upto) if left and left[0].prev > after else 0


def since(first: MailboxDocument, last: MailboxDocument) -> tuple[int, int]:
    """Return how many messages there are from one entry to another, both included, and their weight."""
    weight = weight_of(item_of(first).record)
    own = (1, weight) if weight else (0, 0)
    # Entries of releases before this one were not counted, and say 0.
    return last.messages - first.messages + own[0], last.size - first.size + own[1]


def tail_after(cursors: dict[str, int], floor: int) -> int:
    """Return where the part of a mailbox begins that a device which was attached a moment ago needs."""
    of_attached = [cursor for cursor in cursors.values() if floor - _ATTACHED < cursor < floor]
    return max(of_attached, default=floor) - _BEFORE


def _with(loaded: ev.Loaded, pending: Pending) -> ev.Loaded:
    """Add what was still on its way to the store when the load began."""
    known = {device.device for device in loaded.devices}
    cursors = {d: max(loaded.cursors.get(d, 0), seq) for d, seq in pending.cursors.items() if d in known}
    rows = {row.peer: row for row in loaded.rows}
    for row in pending.rows:  # who had the user meanwhile may have written more
        rows[row.peer] = merged(rows.get(row.peer, row), row)
    in_order = sorted((*loaded.blocks, *pending.blocks), key=lambda block: block.revision)
    blocks = {block.peer: block for block in in_order}
    return msgspec.structs.replace(
        loaded,
        cursors=loaded.cursors | cursors,
        rows=tuple(rows.values()),
        blocks=tuple(blocks.values()),
    )


def _seq(item: Item) -> int:
    return item.seq


def item_of(document: MailboxDocument) -> Item:
    """Return what an actor keeps of a stored entry."""
    return Item(document.seq, decode_record(document.record))


def unbroken(documents: Sequence[MailboxDocument]) -> Sequence[MailboxDocument]:
    """Return the entries up to the first that does not follow the one before it.

    So entries can be gone only before a page, and who reads on finds the rest.
    """
    ends = (place for place, (one, next_) in enumerate(pairwise(documents), 1) if next_.prev > one.seq)
    return documents[: next(ends, len(documents))]
