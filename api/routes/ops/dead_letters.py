"""Dead letters: what could not be handled, by its heading, and the way back to its topic.

A letter is claimed in the store before it is written back, so of two calls one writes. If the log does not
say whether it took it, the letter can be retried: a host drops a message that it has, and a device is at
worst woken twice.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Path, Query
from msgspec.structs import replace

from api.collaborators import Collaborators
from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.dead_letters import Letter, Letters, Retried
from api.http.scopes import Observer, Operator
from cluster.operations.witness import Witness
from roost.errors import RoostError, Unavailable
from roost.ids import shard_of
from storage.cluster_rows import DeadLetter, KeptLetter
from storage.records import (
    KeysRecord,
    MessageRecord,
    PushRecord,
    ReceiptRecord,
    Record,
    SentRecord,
    decode_push,
    decode_record,
    encode_push,
)
from storage.topics import PUSH

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")
_Id = Annotated[str, Path(max_length=300, description="The `id` of a dead letter.")]


class _Heading(NamedTuple):
    """What a record says about itself without its content; users by id, and by name where it has it."""

    what: str
    sender: str = ""
    to: str = ""
    cause: str = ""


@router.get("/admin/v1/dead", responses=responses(*_MINE))
async def dead(
    _caller: Observer,
    collaborators: With,
    before: Annotated[
        str, Query(max_length=300, description="The `id` of the last letter that was seen.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Letters:
    """Return records that could not be handled, newest first: who, when and why, never what they hold."""
    found = await collaborators.store.cluster.dead_letters(before, limit + 1)
    shown = [(each, _heading(each.letter)) for each in found[:limit]]
    ids = {user for _, heading in shown for user in (heading.sender, heading.to) if user}
    users = await collaborators.store.accounts.users_by_id(sorted(ids), opened=False)
    names = {user_id: user.username for user_id, user in users.items()}
    letters = [_shown(kept, heading, names) for kept, heading in shown]
    return Letters(letters=letters, more=len(found) > limit)


@router.post("/admin/v1/dead/{letter_id}/retry", responses=responses(*_MINE, "not_found", "already_retried"))
async def retry(letter_id: _Id, caller: Operator, collaborators: With) -> Retried:
    """Write a dead letter back to its topic, once: a second retry is refused.

    If it cannot be handled again, it is a dead letter of its own.
    """
    store, clock, act = collaborators.store, collaborators.clock, (f"user:{caller.username}", "dead.retry")
    kept = await store.cluster.claim_dead_letter(letter_id, act[0], clock())
    if kept is None:
        raise RoostError("not_found", "There is no such dead letter.")
    witness, outcome = Witness(store.audit, clock), "failed"
    try:
        await witness.requested(*act, kept.id)
        shard = await _write_back(collaborators, kept.letter)
        outcome = "done"
    except RoostError as exc:
        outcome = f"failed: {exc.detail}"
        raise
    finally:
        await store.cluster.settle_dead_letter(letter_id, clock(), written=outcome == "done")
        await witness.over(*act, kept.id, outcome)
    return Retried(id=kept.id, retried=True, topic=kept.letter.topic, shard=shard)


async def _write_back(collaborators: Collaborators, letter: DeadLetter) -> int:
    """Append the record where its user is served now; returns the shard."""
    sequencer = collaborators.sequencer
    outcome: int | Exception
    record = _decoded(letter)
    if record is None:
        raise RoostError("invalid", "The record cannot be decoded: it would be a dead letter again.")
    if not sequencer.shards:
        raise Unavailable("The cluster is starting; try again in a moment.")
    user = record.user if isinstance(record, PushRecord) else record.to
    shard = shard_of(user, sequencer.shards)
    if isinstance(record, PushRecord):
        now = replace(record, at_ms=collaborators.clock())
        [outcome] = await collaborators.log_writer.append(PUSH, [(shard, encode_push(now))])
    else:
        [outcome] = await sequencer.append([(user, letter.value)])
    if isinstance(outcome, Exception):
        raise outcome
    return shard


def _decoded(letter: DeadLetter) -> Record | PushRecord | None:
    try:
        return decode_push(letter.value) if letter.topic == PUSH else decode_record(letter.value)
    except (ValueError, RecursionError):
        return None


def _heading(letter: DeadLetter) -> _Heading:
    match _decoded(letter):
        case None:
            return _Heading("a record that cannot be decoded")
        case PushRecord(user=user, device=device, cause=cause):
            return _Heading(f"a wake-up of the device {device}", "", user, cause)
        case MessageRecord(sender=sender, to=to, cause=cause):
            return _Heading("a message", sender, to, cause)
        case ReceiptRecord(peer=peer, to=to, cause=cause):
            return _Heading("a receipt", peer, to, cause)
        case KeysRecord(user=user, to=to, cause=cause):
            return _Heading("a change of keys", user, to, cause)
        case SentRecord(to=to, cause=cause):
            return _Heading("a copy of a sent message", to, to, cause)


def _shown(kept: KeptLetter, heading: _Heading, names: Mapping[str, str]) -> Letter:
    return Letter(
        id=kept.id,
        topic=kept.letter.topic,
        at_ms=kept.letter.at_ms,
        reason=kept.letter.reason,
        heading=heading.what,
        sender=names.get(heading.sender, heading.sender),
        to=names.get(heading.to, heading.to),
        cause=heading.cause,
        bytes=len(kept.letter.value),
        retried=kept.retried_at_ms > 0,
        retried_at_ms=kept.retried_at_ms,
        retried_by=kept.retried_by,
    )
