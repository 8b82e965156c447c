"""What is said of a message whose receipt went down with a log."""

from typing import Any, cast

import pytest
from msgspec import structs

from api.mailbox.progress import find_message, has_been_delivered
from sim.deterministic.stores import Store
from sim.deterministic.turns import finish
from storage.account_rows import User
from storage.mailbox_rows import Block, Conversation, Cursor, MailboxDocument
from storage.records import MessageRecord, encode_record

ID = "01a3185c-5000-7000-8001-414e4e303030"
RECORD = encode_record(MessageRecord("bob", ID, "ann", "ann", "A", 0, 0, "s", {"OLD": b"x"}))
DOCUMENT = MailboxDocument("bob", 7, 0, "m", "ann", "A", ID, 0, RECORD)


BOB = User("bob", "bob", "", "", 0)


def known(
    *cursors: tuple[str, int],
    block: Block | None = None,
    sender: str = "ann",
    stored: bool = True,
    account: User | None = BOB,
    row: Conversation | None = None,
) -> bool:
    store = Store()
    if account is not None:
        store.users["bob"] = account
    if row is not None:
        finish(store.conversations.put([row]))
    if stored:
        finish(store.mailboxes.insert([DOCUMENT]))
    finish(store.mailboxes.put_cursors([Cursor("bob", device, seq) for device, seq in cursors]))
    if block is not None:
        finish(store.accounts.set_block(block))
    message = finish(find_message(cast("Any", store), sender, "bob", ID))
    return message is not None and finish(has_been_delivered(cast("Any", store), message))


def test_a_device_that_it_was_encrypted_for_has_it() -> None:
    assert known(("OLD", 7))
    assert known(("OLD", 900), ("NEW", 0))


@pytest.mark.parametrize("cursors", [(), (("OLD", 6),), (("OLD", 6), ("NEW", 900))])
def test_other_cursors_do_not_mean_delivery(cursors: tuple[tuple[str, int], ...]) -> None:
    assert not known(*cursors)


def test_a_message_outside_the_mailbox_or_of_another_sender_has_no_progress() -> None:
    assert not known(("OLD", 7), stored=False)
    assert not known(("OLD", 7), sender="eve")


def test_a_blocked_user_learns_nothing() -> None:
    assert not known(("OLD", 7), block=Block("bob", "ann", "ann", 9))
    assert known(("OLD", 7), block=Block("bob", "ann", "ann", 8, 9))
    assert known(("OLD", 7), block=Block("bob", "eve", "eve", 8))


@pytest.mark.parametrize("settings", [{"delivery_receipts": "contacts"}, {"requests": True}])
def test_a_stranger_learns_nothing_where_only_contacts_may(settings: dict[str, Any]) -> None:
    account = structs.replace(BOB, **settings)
    assert not known(("OLD", 7), account=account)
    assert not known(("OLD", 7), account=account, row=Conversation("bob", "ann", "ann", heard=1))
    assert not known(("OLD", 7), account=account, row=Conversation("bob", "eve", "eve", contact=1))
    assert known(("OLD", 7), account=account, row=Conversation("bob", "ann", "ann", contact=1))
    assert known(("OLD", 7), account=account, row=Conversation("bob", "ann", "ann", delivered_seq=3))


def test_of_an_account_that_is_gone_nothing_is_said() -> None:
    assert not known(("OLD", 7), account=None)
