"""Waiting for a condition, with a deadline that says what was still missing."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(missing: Callable[[], str | Awaitable[str]], *, within: float, every: float = 0.05) -> float:
    """Wait until ``missing`` returns '', and return the seconds that it took."""
    began = time.monotonic()
    while True:
        said = missing()
        text = await said if inspect.isawaitable(said) else said
        took = time.monotonic() - began
        if not text:
            return took
        assert took < within, f"after {took:.1f} s: {text}"
        await asyncio.sleep(every)


async def until_found(
    what: Callable[[], Any], wanted: Callable[[Any], object] = bool, *, within: float = 20.0
) -> Any:
    """Wait until what is found is wanted, and return it."""
    found: Any = None

    async def missing() -> str:
        nonlocal found
        found = what()
        found = await found if inspect.isawaitable(found) else found
        return "" if wanted(found) else f"found {found!r}"

    await until(missing, within=within, every=0.01)
    return found
