"""What became of a message, where no receipt says so: what the recipient's devices have acknowledged.

A receipt is a record of the sender's mailbox. It may go down with a log, after the recipient's cursor was
raised: nobody would say it again, and the sender's device would wait for it for days.
"""

from roost.ids import SEQ_LIMIT
from storage.ports import Store
from storage.records import MailboxDocument, MessageRecord, decode_record


async def find_message(store: Store, sender: str, to: str, message_id: str) -> MailboxDocument | None:
    """Return the entry of a sender's message in the recipient's mailbox; user ids name both."""
    stored = await store.mailboxes.find_causes(to, [message_id], SEQ_LIMIT)
    return next((each for each in stored.values() if each.sender == sender), None)


async def has_been_delivered(store: Store, sender: str, to: str, message_id: str) -> bool:
    """Say whether a device that the message was encrypted for has acknowledged it.

    Args:
        store: MongoDB.
        sender: Sender's user id.
        to: Recipient's user id. While this user blocks the sender, nothing is said.
        message_id: Id of the message.

    Raises:
        Unavailable: The store is away.
    """
    document = await find_message(store, sender, to, message_id)
    record = decode_record(document.record) if document is not None else None
    if document is None or not isinstance(record, MessageRecord):
        return False
    cursors = (await store.mailboxes.cursors_of([to])).get(to, {})
    if not any(cursors.get(device, 0) >= document.seq for device in record.payloads):
        return False
    blocks = (await store.accounts.blocks_of([to])).get(to, [])
    return not any(block.peer == sender and block.until_seq is None for block in blocks)
