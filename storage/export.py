"""The export: everything that the stores hold on one user, as one JSON document, a piece at a time.

Memory stays flat however large a mailbox is: it is read in pages. What is missing is secret (hashes of the
password and of tokens, keys of push endpoints) or expires by itself within a day (what Redis holds). Of files
it has sizes and times: their bytes are encrypted, and whoever has the message that brings one can fetch it.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from roost.clock import Clock
from roost.ids import SEQ_LIMIT
from storage.account_rows import User
from storage.mailbox_rows import MailboxDocument
from storage.ports import Store
from storage.records import decode_record, has_expired, without_content

_PAGE: Final = 64
"""Entries read at once: of the largest that is some 80 MB, of usual ones some 30 KB."""

_SECRET: Final = ("password_hash",)
_encode = msgspec.json.Encoder().encode


async def export_of(store: Store, user: User, clock: Clock) -> AsyncIterator[bytes]:
    """Yield the document.

    Args:
        store: What is asked.
        user: Whose data.
        clock: Unix time: a message that has expired has no content, whether or not a host has emptied it.
    """
    yield b'{"account":' + _encode(_without(user, *_SECRET))
    yield b',"devices":' + _encode(await _devices(store, user.user_id))
    yield b',"sessions":' + _encode(await _sessions(store, user.user_id))
    blocks = (await store.accounts.blocks_of([user.user_id])).get(user.user_id, [])
    yield b',"blocks":' + _encode([_without(each, "user") for each in blocks])
    rows = await store.conversations.of_user(user.user_id)
    yield b',"conversations":' + _encode([_without(each, "user") for each in rows])
    cursors = await store.mailboxes.cursors_of([user.user_id])
    yield b',"cursors":' + _encode(cursors[user.user_id])
    files = await store.blobs.usage(user.user_id)
    yield b',"files":' + _encode([_without(each, "name") for each in files])
    erasure = await store.erasures.get(user.user_id)
    yield b',"erasure":' + _encode(None if erasure is None else _without(erasure, "user"))
    yield b',"mailbox":['
    async for piece in _mailbox(store, user.user_id, clock):
        yield piece
    yield b"]}"


async def _devices(store: Store, user: str) -> list[dict[str, Any]]:
    devices = (await store.accounts.devices_of([user])).get(user, [])
    return [
        _without(each, "user", "push_keys")
        | {"unused_one_time_keys": (await store.keys.supply(user, each.device)).one_time}
        for each in devices
    ]


async def _sessions(store: Store, user: str) -> list[dict[str, Any]]:
    sessions = await store.sessions.of_user(user)
    return [_without(each, "user", "current", "previous") for each in sessions]


async def _mailbox(store: Store, user: str, clock: Clock) -> AsyncIterator[bytes]:
    after, separator = 0, b""
    while entries := await store.mailboxes.range(user, after, SEQ_LIMIT - 1, _PAGE):
        for entry in entries:
            yield separator + _encode(_entry(entry, clock()))
            separator = b","
        after = entries[-1].seq


def _entry(document: MailboxDocument, now_ms: int) -> dict[str, Any]:
    record = decode_record(document.record)
    if has_expired(record, now_ms):
        record = decode_record(without_content(document.record))
    kind = {"m": "message", "k": "keys", "s": "sent"}[document.kind]
    head = {"seq": document.seq, "type": kind, "at_ms": document.at_ms, "id": document.cause}
    return head | _without(record, "to", "cause", "version")


def _without(struct: msgspec.Struct, *fields: str) -> dict[str, Any]:
    found = msgspec.structs.asdict(struct)
    return {name: value for name, value in found.items() if name not in fields}
