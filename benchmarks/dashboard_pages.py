"""An operator, and pages that follow the system as a browser's do."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from benchmarks.accounts import PASSWORD, sign_up
from benchmarks.system import System

_NAME = "operator"


async def operator(system: System) -> str:
    """Make an operator; returns an access token."""
    [made] = await sign_up(system.http, [_NAME])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "roost", "admin", "grant", _NAME, "observer", "--data", str(system.data)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if status := await process.wait():
        raise RuntimeError(f"roost admin grant ended with {status}.")
    body = {"username": _NAME, "password": PASSWORD, "device_id": made.device}
    async with aiohttp.ClientSession(system.http) as http, http.post("/v1/sessions", json=body) as answer:
        token: str = (await answer.json())["access_token"]
        return token


@asynccontextmanager
async def following(system: System, token: str, readers: int) -> AsyncIterator[list[int]]:
    """Have so many pages follow the system; yields how many bytes each has read."""
    read = [0] * readers
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(system.http, timeout=aiohttp.ClientTimeout(total=None)) as http:

        async def follow(place: int) -> None:
            async with http.get("/admin/v1/stream", headers=headers) as answer:
                answer.raise_for_status()
                async for part in answer.content.iter_any():
                    read[place] += len(part)

        tasks = [asyncio.create_task(follow(place)) for place in range(readers)]
        try:
            yield read
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        if failed := [end for end in ends if not isinstance(end, asyncio.CancelledError)]:
            raise RuntimeError(f"A page's stream ended before the span did: {failed}")
