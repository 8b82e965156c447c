"""What the server holds of a phone's user: the audit of its store, the export, and the end of the account."""

from roost.errors import RoostError
from sim.checker import AUDITED, PASSED
from sim.ledger import Kind, now_us
from sim.people.phone import PASSWORD, Phone

_ENDED = ("revoked", "unauthenticated", "token_reused", "unknown_user")


async def audit(phone: Phone) -> None:
    """Write into the ledger what the server has stored for a device."""
    cursor, taken = 0, phone.client.profile.state.cursor or 0
    while True:
        params = {"cursor": str(cursor), "limit": "256", "wait_s": "0"}
        page = await phone.insist(lambda p=params: phone.client.api.call("GET", "/v1/sync", params=p))  # type: ignore[misc]
        for entry in page["entries"]:
            if entry["type"] == "message" and entry["from"] != phone.user:
                phone.note(Kind.STORED, peer=entry["from"], id=entry["id"], seq=entry["seq"])
            elif entry["type"] == "sent" and "payload" in entry:
                where = {"peer": entry["to"], "id": entry["id"], "seq": entry["to_seq"]}
                phone.note(Kind.COPY_STORED, **where, note=PASSED if entry["seq"] <= taken else "")
        cursor = page["cursor"]
        if not page["more"]:
            phone.note(Kind.CUT, note=AUDITED)
            return


async def export(phone: Phone) -> None:
    """Have the server export all that it holds on the user; the ledger gets the messages in it."""
    asked_us = now_us()
    document = await phone.insist(lambda: phone.client.api.call("GET", "/v1/me/export"))
    for entry in document["mailbox"]:
        has_content = entry["type"] == "message" and any(entry["payloads"].values())
        if has_content and entry["sender_name"] != phone.user:
            where = {"peer": entry["sender_name"], "id": entry["id"], "seq": entry["seq"]}
            phone.note(Kind.EXPORTED, **where, note=str(asked_us))


async def erase(phone: Phone) -> None:
    """Delete the account. A session that has ended says that it is done: the reply was lost."""
    body = {"password": PASSWORD}
    try:
        await phone.insist(lambda: phone.client.api.call("DELETE", "/v1/me", body))
    except RoostError as exc:
        if exc.code.word not in _ENDED:
            raise
    phone.note(Kind.ERASED, note=phone.client.profile.user_id)
