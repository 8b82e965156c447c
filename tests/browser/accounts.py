"""Accounts over plain HTTP: operators, and whom they act on."""

import secrets
from typing import Any

import aiohttp
from pymongo import AsyncMongoClient

from tests.browser.client import PASSWORD
from tests.live.running import System


class Account:
    """An account, over plain HTTP."""

    def __init__(self, http: aiohttp.ClientSession, tokens: dict[str, Any]) -> None:
        self.user_id, self.username, self.device = (
            tokens[f"{x}"] for x in ("user_id", "username", "device_id")
        )
        self._http, self._headers = http, {"Authorization": f"Bearer {tokens['access_token']}"}

    async def received(self) -> list[str]:
        """Return the ids of the messages in the mailbox."""
        async with self._http.get("/v1/sync", headers=self._headers) as answer:
            return [each["id"] for each in (await answer.json())["entries"] if each["type"] == "message"]


async def account(system: System, http: aiohttp.ClientSession, scope: str | None = None) -> Account:
    """Make an account; with a scope as `roost admin grant` would."""
    who = {"username": f"op.{secrets.token_hex(4)}", "password": PASSWORD}
    async with http.post("/v1/accounts", json=who) as answer:
        assert answer.status == 201, await answer.text()
    if scope is not None:
        async with AsyncMongoClient[dict[str, Any]](system.mongo) as mongo:
            users = mongo["roost"]["users"]
            await users.update_one({"username": who["username"]}, {"$addToSet": {"scopes": scope}})
    async with http.post("/v1/sessions", json=who | {"device": {"name": "x"}}) as answer:
        return Account(http, await answer.json())


async def acts_of(system: System, operator: Account) -> set[tuple[str, str]]:
    """Return what an operator did, and what came of it, as the audit log has it."""
    async with AsyncMongoClient[dict[str, Any]](system.mongo) as mongo:
        rows = mongo["roost"]["audit"].find({"actor": f"user:{operator.username}"})
        return {(row["act"], row["outcome"]) async for row in rows}
