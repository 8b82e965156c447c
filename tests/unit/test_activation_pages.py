"""What a page of a mailbox says of entries that are gone, and what is known of messages that were swept."""

from typing import Any, cast

import pytest

from actors.host.runtime import Runtime
from actors.host.upkeep.sweeper import _stubs
from actors.host.users.activation import Activation
from actors.user import events as ev
from roost.ids import MESSAGE_ID_WINDOW_MS
from roost.testing.servers import MemoryStore
from storage.mailbox_rows import MailboxDocument
from storage.records import MessageRecord, encode_record


def message(seq: int) -> MailboxDocument:
    record = MessageRecord("me", f"id{seq}", "bob", "bob", "B", 0, seq, "plain", {"M": b"."})
    return MailboxDocument("me", seq, seq - 1, "m", "bob", "B", f"id{seq}", seq, encode_record(record))


async def mailbox(*seqs: int) -> tuple[MemoryStore, Activation]:
    store = MemoryStore()
    await store.insert([message(seq) for seq in seqs])
    nothing = cast("Any", None)
    return store, Activation(cast("Any", store), nothing, nothing, Runtime())


@pytest.mark.parametrize(
    ("left", "after", "gone"),
    [
        ((1, 2, 3, 4), 0, 0),
        ((3, 4), 0, 2),
        ((4,), 0, 3),
        ((4,), 2, 3),
        ((4,), 3, 0),
        ((), 0, 0),
    ],
)
async def test_a_page_says_what_is_gone_though_the_rest_is_in_memory(
    left: tuple[int, ...], after: int, gone: int
) -> None:
    """The actor has number 4 itself, and reads what is before it."""
    _, activation = await mailbox(*left)
    assert (await activation.page("me", after, 3, 100))[2] == gone


async def test_what_was_swept_and_is_sent_again_is_a_repeat() -> None:
    store, activation = await mailbox(1, 2)
    asked = ev.RepeatUnknown("bob", "B", "id1", 3)
    await store.put_stubs(list(_stubs([message(1)], now_ms=10)))
    await store.sweep("me", 2)
    facts = await activation.facts({"me": [asked]})
    assert facts["me"].repeats[0][2] == 2  # the sender's last entry that is left
    await store.sweep("me", 3)
    assert (await activation.facts({"me": [asked]}))["me"].repeats[0][2] == 1


def test_only_messages_whose_ids_are_good_leave_stubs() -> None:
    assert [stub.cause for stub in _stubs([message(1)], now_ms=10)] == ["id1"]
    assert list(_stubs([message(1)], now_ms=2 * MESSAGE_ID_WINDOW_MS)) == []
