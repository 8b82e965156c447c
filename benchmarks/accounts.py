"""Accounts for load: one user with one device each, made over the public HTTP API."""

import asyncio
import secrets
import sys
from http import HTTPStatus
from typing import Any

import aiohttp
from msgspec import Struct

from roost.crypto.keys import DeviceSecrets, device_keys

PASSWORD = "a load generator's password"
_AT_ONCE = 20


class Account(Struct, frozen=True):
    """One user with one device."""

    username: str
    device: str
    token: str


async def sign_up(base: str, names: list[str]) -> list[Account]:
    """Make so many accounts; the server's password hashing makes this slow on purpose."""
    made: list[Account] = []
    async with aiohttp.ClientSession(base) as http:
        for first in range(0, len(names), _AT_ONCE):
            made += await asyncio.gather(*(_one(http, name) for name in names[first : first + _AT_ONCE]))
            if len(made) % 200 == 0:
                print(f"  {len(made)} of {len(names)} users", file=sys.stderr)
    return made


async def _one(http: aiohttp.ClientSession, username: str) -> Account:
    """Register, log in, and publish the device's keys."""
    account = {"username": username, "password": PASSWORD}
    await _call(http, "/v1/accounts", account, also=HTTPStatus.CONFLICT)
    session = await _call(http, "/v1/sessions", account | {"device": {"name": "load"}})
    own = DeviceSecrets.from_random(secrets.token_bytes(64))
    bundle = device_keys(f"@{username}:localhost", session["device_id"], own)
    await _call(http, "/v1/keys/upload", {"device_keys": bundle}, token=session["access_token"])
    return Account(username, session["device_id"], session["access_token"])


async def _call(
    http: aiohttp.ClientSession, path: str, body: Any, *, token: str = "", also: int = HTTPStatus.OK
) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    while True:
        async with http.post(path, json=body, headers=headers) as answer:
            if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED, also}:
                return await answer.json()
            if "Retry-After" not in answer.headers:
                raise RuntimeError(f"POST {path}: {answer.status} {await answer.text()}")
        await asyncio.sleep(float(answer.headers["Retry-After"]))
