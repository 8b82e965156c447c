"""Sending over HTTP, and what became of a message."""

import asyncio
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from actors.rpc import messages as m
from api.collaborators import Collaborators
from api.http.dependencies import Caller, With
from api.http.problems import responses
from api.http.schemas import AcceptedMessage, MessageState, NewMessage
from api.identity.limits import limited
from api.identity.tokens import Principal
from api.mailbox.progress import find_message, has_been_delivered
from roost import wire
from roost.errors import RoostError, Unavailable
from roost.ids import shard_of, uuid7_ms
from storage.ports import Accepted
from storage.records import MessageRecord, decode_record

router = APIRouter(tags=["messages"])
_MINE = ("unauthenticated", "revoked", "rate_limited")
_PEERS_ASKED = 200
_PEERS_AT_ONCE = 8


@router.post(
    "/v1/messages",
    status_code=202,
    response_model=AcceptedMessage,
    responses=responses(*_MINE, "unknown_user", "device_mismatch", "id_reused", "id_expired"),
)
async def send(body: NewMessage, caller: Caller, collaborators: With) -> Response:
    """Accept a message: durable when answered. The same id again gives the same answer."""
    wait = collaborators.limits.wait_s("sends", caller.device, collaborators.clock())
    if wait > 0:
        raise limited("sends", collaborators.sender.gate.limit(caller.device, wait))
    try:
        payloads = {device: wire.from_base64(text) for device, text in body.payloads.items()}
    except ValueError as exc:
        raise RoostError("invalid", f"body.payloads: {exc}.") from exc
    frame = wire.Send(body.id, body.to, body.sent_at_ms, body.suite, payloads, body.urgent, body.expires_in_s)
    answer = await collaborators.sender.send(caller, frame)
    return _json({"id": body.id, "seq": answer.seq, "accepted_at_ms": answer.accepted_at_ms}, 202)


@router.get(
    "/v1/messages/{id}",
    response_model=MessageState,
    responses=responses(*_MINE, "unknown_message", "unknown_user"),
)
async def message_state(id: str, caller: Caller, collaborators: With, to: str | None = None) -> Response:  # noqa: A002 -- the contract's name
    """The sender's view of a message. `to`, where known, makes the look-up cheaper."""
    await collaborators.limits.check("lookups", caller.device)
    try:
        uuid7_ms(id)
    except ValueError as exc:
        raise RoostError("unknown_message", "A message id is a UUIDv7.") from exc
    reason = "No message with this id was accepted from this user."
    # What was answered once may have gone down with the log, and the message been sent again since.
    for look in (partial(_recall, collaborators, caller, id), partial(_find, collaborators, caller, id, to)):
        sent = await look()
        if sent is None:
            continue
        person = await collaborators.directory.known(sent.to)
        if await _survives(collaborators, person.user, sent.seq):
            state: dict[str, Any] = {"id": id, "to": sent.to, "seq": sent.seq}
            return _json(state | await _progress(collaborators, caller, person.user, sent, id), 200)
        reason = "The message went down with the log; send it again with its id."
    raise RoostError("unknown_message", reason)


async def _recall(collaborators: Collaborators, caller: Principal, message_id: str) -> Accepted | None:
    devices = (await collaborators.directory.people([caller.username])).get(caller.username)
    keys = [(device, message_id) for device in sorted({caller.device, *(devices.devices if devices else ())})]
    known_here = next(
        (answer for key in keys if (answer := collaborators.sender.answers.get(key)) is not None), None
    )
    if known_here is not None:
        return known_here
    try:
        return next((answer for answer in await collaborators.cache.recall(keys) if answer is not None), None)
    except Unavailable:
        return None


async def _find(
    collaborators: Collaborators, caller: Principal, message_id: str, to: str | None
) -> Accepted | None:
    """Look in the recipient's mailbox, or in those of all with whom there is a conversation."""
    if to is not None:
        person = await collaborators.directory.known(to)
        return await _find_in(collaborators, caller, message_id, person.user, person.username)
    rows = await collaborators.store.conversations.of_user(caller.user)
    rows.sort(key=lambda row: row.receipt_seq, reverse=True)
    for start in range(0, min(len(rows), _PEERS_ASKED), _PEERS_AT_ONCE):
        some = rows[start : start + _PEERS_AT_ONCE]
        found = await asyncio.gather(
            *(_find_in(collaborators, caller, message_id, row.peer, row.peer_name) for row in some)
        )
        hit = next((answer for answer in found if answer is not None), None)
        if hit is not None:
            return hit
    return None


async def _find_in(
    collaborators: Collaborators, caller: Principal, message_id: str, user: str, name: str
) -> Accepted | None:
    document = await find_message(collaborators.store, caller.user, user, message_id)
    if document is None:
        return None
    record = decode_record(document.record)
    accepted = record.accepted_at_ms if isinstance(record, MessageRecord) else document.at_ms
    return Accepted(name, document.seq, accepted, b"")


async def _survives(collaborators: Collaborators, to: str, seq: int) -> bool:
    """Say whether the message is stored or in the log; a number below the base was in an earlier log."""
    if not collaborators.sequencer.shards:
        raise Unavailable("The cluster is starting; try again in a moment.")
    return await collaborators.sequencer.survives(to, seq)


async def _progress(
    collaborators: Collaborators, caller: Principal, to: str, sent: Accepted, message_id: str
) -> dict[str, Any]:
    answer = await collaborators.hosts.ask(caller.user, m.Watermarks(0, caller.user, to))
    marks = answer if isinstance(answer, m.Marks) else m.Marks(0, 0, 0, 0)
    progress: dict[str, Any] = {"state": "accepted", "accepted_at_ms": sent.accepted_at_ms}
    if marks.delivered_seq >= sent.seq:
        progress |= {"state": "delivered", "delivered_at_ms": marks.delivered_at_ms}
        if marks.read_seq >= sent.seq:
            progress |= {"state": "read", "read_at_ms": marks.read_at_ms}
    elif await has_been_delivered(collaborators.store, caller.user, to, message_id):
        progress["state"] = "delivered"
    elif await _is_stored(collaborators, to, sent.seq):
        progress["state"] = "stored"
    return progress


async def _is_stored(collaborators: Collaborators, to: str, seq: int) -> bool:
    """Say whether the record was handled. Not whether the entry exists: that would show a block."""
    states = await collaborators.store.cluster.log_states()
    state = states.get(shard_of(to, collaborators.sequencer.shards))
    return (state is not None and state.handled(seq)) or await collaborators.store.mailboxes.exists(to, seq)


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
