"""The audit of a load: its messages read back from the store over the public API."""

import asyncio
from http import HTTPStatus
from typing import Any

import aiohttp

from benchmarks.accounts import Account
from benchmarks.ledger import Book
from roost.wire import WINDOW, from_base64

_AT_ONCE = 8


async def audit(base: str, people: list[Account], book: Book) -> None:
    """Tell the ledgers what is in the mailboxes of these people, from the first entry on.

    Start the server afresh before, and what it answers is what its store has.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(base) as http:

        async def one(person: Account) -> None:
            async with gate:
                await _mailbox(http, person, book)

        await asyncio.gather(*(one(person) for person in people))
    for ledger in book.ledgers:
        ledger.audited = True


async def _mailbox(http: aiohttp.ClientSession, person: Account, book: Book) -> None:
    cursor, more = 0, True
    while more:
        page = await page_of(http, person, cursor, WINDOW)
        for entry in page["entries"]:
            if entry["type"] == "message":
                found = book.find(from_base64(entry["payload"]))
                if found is not None:
                    ledger, number = found
                    ledger.store(number, entry["from"], person.username)
        cursor, more = page["cursor"], page["more"]


async def page_of(http: aiohttp.ClientSession, person: Account, cursor: int, limit: int) -> Any:
    """Return a page of an account's mailbox."""
    headers = {"Authorization": f"Bearer {person.token}"}
    query = {"cursor": str(cursor), "limit": str(limit)}
    while True:
        async with http.get("/v1/sync", params=query, headers=headers) as answer:
            if answer.status == HTTPStatus.OK:
                return await answer.json()
            if "Retry-After" not in answer.headers:
                raise RuntimeError(f"GET /v1/sync: {answer.status} {await answer.text()}")
        await asyncio.sleep(float(answer.headers["Retry-After"]))
