"""What must hold when nothing is in flight any more, and of phones that were put away."""

from sim.deterministic.facts import Message, Violation
from sim.deterministic.invariants import Truth
from storage.mailbox_rows import MailboxDocument
from storage.records import KeysRecord, MessageRecord, SentRecord, decode_record


def check_woken(truth: Truth) -> None:
    """Check, when every phone has been put away, that each with a push token was woken for what waits."""
    for user in truth.store.users:
        tokens = {each.device for each in truth.store.devices[user] if each.push_token is not None}
        cursors = truth.store.cursors.get(user, {})
        for document in truth.store.mailbox(user):
            record = decode_record(document.record)
            if not isinstance(record, MessageRecord):
                continue
            message = truth.messages.get(record.cause)
            if message is None or truth.came_late(message) or truth.is_blocked(message):
                continue
            if message.expires_ms:
                continue
            for device in tokens & record.payloads.keys():
                unread = device not in message.kept_by and cursors.get(device, 0) < document.seq
                if unread and not truth.wakeups.covered(user, device, document.seq):
                    raise Violation("not_woken", f"{device} was not woken for {message}")


def check_rest(truth: Truth, now_ms: int) -> None:
    """Check what must hold when nothing is in flight any more."""
    for message in truth.messages.values():
        reached = message.kept_by or truth.is_blocked(message) or truth.came_late(message)
        went_nowhere = message.alone and not message.seqs  # it is told as delivered where it is
        went_nowhere = went_nowhere or truth.may_be_unread(message)
        if message.saved and not reached and not went_nowhere:
            raise Violation("lost", f"no one ever got {message}")
        if message.saved and (device := _lacks_copy(truth, message)):
            raise Violation("lost", f"{device} has no copy of {message}")
    if found := unread(truth):
        raise Violation("lost", found[0])
    for user in truth.store.users:
        _check_mailbox(truth, user)
        _check_disappeared(truth, user, now_ms)


def _check_disappeared(truth: Truth, user: str, now_ms: int) -> None:
    for document in truth.store.mailbox(user):
        record = decode_record(document.record)
        if 0 < document.expires_at_ms <= now_ms and any(getattr(record, "payloads", {}).values()):
            raise Violation("kept", f"the mailbox of {user} still has what has disappeared: {document}")


def _lacks_copy(truth: Truth, message: Message) -> str | None:
    """Return a device that came with the message and that has no copy, if its log was not lost.

    What was sent first counts, of what is left. When its answer was lost, it is perhaps sent once more
    for a device that has come since: to that one nothing was promised.
    """
    left_us = truth.gone | truth.sweeps.taken
    if message.expires_ms or any((message.sender, seq) in left_us for seq in message.copy_seqs):
        return None
    left = [seq for seq in message.seqs if (message.to, seq) not in truth.gone] or message.seqs[-1:]
    promised = message.copies_for[left[0]] if left else []
    return next((device for device in promised if device not in message.copied_by), None)


def _check_mailbox(truth: Truth, user: str) -> None:
    documents = truth.store.mailbox(user)
    ids = [document.cause for document in documents if document.kind == "m"]
    if len(set(ids)) != len(ids):
        raise Violation("duplicated", f"the mailbox of {user} holds a message twice: {ids}")
    wanted = {
        m.id
        for m in truth.messages.values()
        if m.to == user and m.saved and not truth.is_blocked(m) and not truth.went_down(m)
        if not m.expired and not truth.was_swept(m)
    }
    if not_stored := sorted(wanted - set(ids)):
        raise Violation("not_stored", f"the mailbox of {user} lacks {not_stored}")
    if risen := [each for each in documents if (user, each.seq) in truth.sweeps.taken]:
        raise Violation("risen", f"the mailbox of {user} holds again what was swept: {risen[0]}")
    was_swept = any(each == user for each, _ in truth.sweeps.taken)
    before = documents[0].prev if was_swept and documents else 0
    for document in documents:
        skips = document.prev != before and not truth.logs_lost
        if skips and not _skips_blocked(truth, document, documents):
            raise Violation("chain", f"in the mailbox of {user}, {before} comes before {document}")
        before = document.seq


def _skips_blocked(truth: Truth, document: MailboxDocument, documents: list[MailboxDocument]) -> bool:
    """Return whether a document follows one that is there, but for what its writer knew as blocked.

    A block that is not in the store yet is known to one host only. If the shard is elsewhere meanwhile,
    the one stores as an entry what is none to the other, and the document that came first stays. No
    reader sees it: to a device, each entry follows the one that the device got before.
    """
    numbers = [each.seq for each in documents]
    skipped = [each for each in documents if document.prev < each.seq < document.seq]
    follows = document.prev == 0 or document.prev in numbers
    return truth.parted and follows and all(_fell_into_block(truth, each) for each in skipped)


def _fell_into_block(truth: Truth, document: MailboxDocument) -> bool:
    """Return whether some host knew a stored record as one of a peer that was blocked."""
    record = decode_record(document.record)
    peer = record.user if isinstance(record, KeysRecord) else document.sender
    return any(
        since <= document.seq and (until is None or document.seq < until)
        for since, until in truth.blocked[document.user, peer]
    )


def unread(truth: Truth) -> list[str]:
    """Return what is in a mailbox and has not come to every device that it is for."""
    found: list[str] = []
    for document in (each for user in truth.store.users for each in truth.store.mailbox(user)):
        record = decode_record(document.record)
        if isinstance(record, MessageRecord):
            message = truth.messages[record.cause]
            # A block holds from when its host has it; another host may have stored what came in between,
            # before the block was in the store and its user was told that it is.
            if truth.came_late(message) or truth.is_blocked(message):
                continue
            devices = [] if message.expires_ms else record.payloads
            missing = [device for device in devices if device not in message.kept_by]
            found += [f"{device} never got {message}, stored as {document.seq}" for device in missing]
        elif isinstance(record, SentRecord):
            message = truth.messages[record.cause]
            if (document.user, document.seq) not in truth.gone:
                devices = [] if message.expires_ms else record.payloads
                missing = [device for device in devices if device not in message.copied_by]
                found += [f"{device} never got its copy of {message}" for device in missing]
    return found
