"""A message's delivery as the recipient's cursors show it, where no receipt does.

A receipt is a record of the sender's mailbox. It may go down with a log, after the recipient's cursor was
raised: nothing would report it again, and the sender's device would wait for it for days.
"""

from roost.ids import SEQ_LIMIT
from storage.mailbox_rows import MailboxDocument, Stub
from storage.ports import Store
from storage.records import MessageRecord, decode_record


async def find_message(store: Store, sender: str, to: str, message_id: str) -> MailboxDocument | None:
    """Return the entry of a sender's message in the recipient's mailbox; user ids name both."""
    stored = await store.mailboxes.find_causes(to, [message_id], SEQ_LIMIT)
    return next((each for each in stored.values() if each.sender == sender), None)


async def find_stub(store: Store, sender: str, to: str, message_id: str) -> Stub | None:
    """Return what is kept of a sender's message that went nowhere."""
    stubs = await store.mailboxes.find_stubs(to, [message_id])
    return next((each for each in stubs.values() if each.sender == sender), None)


async def has_been_delivered(store: Store, message: MailboxDocument) -> bool:
    """Return whether a device that the message was encrypted for has acknowledged it.

    Nothing is said of a recipient who blocks the sender, or tells contacts only and has not written to it.

    Raises:
        Unavailable: The store is away.
    """
    record = decode_record(message.record)
    if not isinstance(record, MessageRecord):
        return False
    if record.to_self:  # delivered once it is in the mailbox
        return True
    cursors = (await store.mailboxes.cursors_of([message.user])).get(message.user, {})
    if not any(cursors.get(device, 0) >= message.seq for device in record.payloads):
        return False
    blocks = (await store.accounts.blocks_of([message.user])).get(message.user, [])
    if any(block.peer == message.sender and block.until_seq is None for block in blocks):
        return False
    account = (await store.accounts.users_by_id([message.user], opened=False)).get(message.user)
    if account is None or account.tells_strangers:
        return account is not None
    rows = (await store.conversations.of_users([message.user]))[message.user]
    return any(row.peer == message.sender and row.with_contact for row in rows)
