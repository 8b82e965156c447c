"""Conversations and their history."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from actors.user.events import Item
from actors.user.view import to_wire
from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.mailboxes import ConversationInfo, ConversationList, History
from api.identity.tokens import Principal
from api.mailbox.recent import recent
from roost import wire
from roost.ids import SEQ_LIMIT
from storage.mailbox_rows import Conversation, MailboxDocument
from storage.records import decode_record

router = APIRouter(route_class=ApiRoute, tags=["conversations"])
_MINE = ("unauthenticated", "revoked", "rate_limited", "unavailable")
_SUMMARY = 2_000
_BATCH = 256


@router.get("/v1/conversations", responses=responses(*_MINE))
async def list_conversations(caller: Caller, collaborators: With) -> ConversationList:
    """List conversations, newest first; unread counts cover the mailbox's last 2,000 messages."""
    unstored = await recent(collaborators.hosts, caller.user)
    rows = await unstored.conversations(collaborators.store, caller.user)
    summary = await unstored.summary(collaborators.store, caller.user, _SUMMARY)
    strangers = await collaborators.store.accounts.users_by_id(
        [sender for sender in summary if sender not in rows], opened=False
    )
    for user in strangers.values():
        rows[user.user_id] = Conversation(caller.user, user.user_id, user.username)
    listed = [
        _info(row, summary.get(row.peer, []))
        for row in rows.values()
        if row.peer != caller.user or row.peer in summary  # what devices tell each other is no conversation
    ]
    listed.sort(key=lambda each: each.at_ms, reverse=True)
    return ConversationList(conversations=listed)


@router.put(
    "/v1/conversations/{username}/accepted",
    status_code=204,
    responses=responses(*_MINE, "unknown_user"),
)
async def accept(username: str, caller: Caller, collaborators: With) -> Response:
    """Accept a stranger's conversation, as a first message to them would: they become a contact."""
    peer = await collaborators.directory.known(username)
    await collaborators.contacts.add(caller.user, peer)
    return Response(status_code=204)


@router.get(
    "/v1/conversations/{username}/messages",
    response_model=History,
    responses=responses(*_MINE, "unknown_user"),
)
async def history(
    username: str,
    caller: Caller,
    collaborators: With,
    before: Annotated[int, Query(ge=0, le=SEQ_LIMIT)] = SEQ_LIMIT,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List the messages of a conversation that have a payload for this device, newest first.

    What the caller's other devices sent is among them as `sent` entries, as far as they gave copies. What
    this device sent was not encrypted for it: it is on the device, not here.
    """
    await collaborators.limits.check("lookups", caller.device)
    peer = await collaborators.directory.known(username)
    unstored = await recent(collaborators.hosts, caller.user)
    page = _HistoryPage(caller.device, limit, collaborators.clock())
    more, wanted, first = True, limit + 1, None
    while more and not page.full:
        documents = await unstored.history(collaborators.store, caller.user, peer.user, before, wanted)
        more = page.take(documents) or len(documents) == wanted
        if more and not page.full:
            before, wanted = documents[-1].seq, min(_BATCH, wanted * 2)
            first = await _first_seq(collaborators, caller) if first is None else first
            more = before > first
    body = {"messages": page.messages, "more": more}
    return Response(msgspec.json.encode(body), media_type="application/json")


class _HistoryPage:
    """Messages of one page; full by their number or their size."""

    def __init__(self, device: str, limit: int, now_ms: int) -> None:
        self.messages: list[dict[str, Any]] = []
        self._device, self._limit, self._size, self._now_ms = device, limit, 0, now_ms

    @property
    def full(self) -> bool:
        return len(self.messages) >= self._limit or self._size >= wire.PAGE_BYTES

    def take(self, documents: list[MailboxDocument]) -> bool:
        """Take what the device can read; returns whether there was no room for all."""
        for each in documents:
            if self.full:
                return True
            entry = _entry(each, self._device, self._now_ms)
            if entry is not None:
                self.messages.append(entry)
                self._size += len(entry["payload"])
        return False


async def _first_seq(collaborators: Collaborators, caller: Principal) -> int:
    """Return up to where nothing is for the caller's device: it was not there yet."""
    devices = (await collaborators.store.accounts.devices_of([caller.user], opened=False)).get(
        caller.user, []
    )
    return next((each.from_seq for each in devices if each.device == caller.device), SEQ_LIMIT)


def _info(row: Conversation, received: list[tuple[int, int]]) -> ConversationInfo:
    last_seq, at_ms = received[0] if received else (0, 0)
    return ConversationInfo(
        peer=row.peer_name,
        last_seq=last_seq,
        unread=0 if row.peer == row.user else sum(seq > row.my_read_seq for seq, _ in received),
        delivered_seq=row.delivered_seq,
        read_seq=row.read_seq,
        at_ms=max(at_ms, row.delivered_at_ms, row.read_at_ms),
    )


def _entry(document: MailboxDocument, device: str, now_ms: int) -> dict[str, Any] | None:
    """Return a message, or the copy of one, as its entry; None if it is not for this device, or is over."""
    entry = to_wire(Item(document.seq, decode_record(document.record)), device, 0, now_ms)
    if not isinstance(entry, wire.MessageEntry | wire.SentEntry) or entry.payload is None:
        return None
    fields: dict[str, Any] = msgspec.to_builtins(entry, builtin_types=(bytes,))
    del fields["prev"]  # of the view of a sync
    return fields | {"payload": wire.unpadded(entry.payload)}
