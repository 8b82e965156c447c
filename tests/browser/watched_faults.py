"""Watches a simulation with faults through the operators' page: python -m tests.browser.watched_faults.

A host is killed, the store is paused, a host is drained, under traffic. Every ten seconds there is a picture
in `screenshots/ops`; `--readme` puts the one of the paused store among the documents' pictures.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from playwright.async_api import Page, async_playwright
from pymongo import AsyncMongoClient

from roost.own_packages import program
from tests.browser.browsers import launch, profile
from tests.browser.client import PASSWORD
from tests.browser.operators import Operator
from tests.browser.views import ROOT
from tests.live.running import System

FOLDER: Final = ROOT / "screenshots" / "ops"
README: Final = ROOT / "docs" / "images" / "ops-overview.png"
COUNTS: Final = ("--hosts", "3", "--routers", "2", "--gateways", "2")
FAULTS: Final = "kill-host,pause-mongo"
EVERY_S: Final = 10.0
DRAIN_AT_S: Final = 90.0
SIZE: Final = {"width": 1280, "height": 860}


async def watch(duration_s: float, rate: int, users: int, chosen_s: float | None) -> None:
    """Run the simulation, and take a picture every ten seconds."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="roost-ops-") as folder:
        system = System(Path(folder), *COUNTS)
        try:
            await system.started()
            await _operator(system)
            traffic = ("--users", str(users), "--rate", str(rate), "--duration", str(int(duration_s)))
            async with _looked_at(system) as tab, _simulation(system, *traffic, "--faults", FAULTS):
                await _pictures(tab, duration_s, chosen_s)
        finally:
            await asyncio.to_thread(system.stop)


async def _pictures(tab: Operator, duration_s: float, chosen_s: float | None) -> None:
    began, drained = time.monotonic(), False
    for number in range(int(duration_s / EVERY_S) + 2):
        await asyncio.sleep(max(0.0, began + number * EVERY_S - time.monotonic()))
        at_s = time.monotonic() - began
        if at_s >= DRAIN_AT_S and not drained:
            drained = True
            await _drain(tab)
        path = FOLDER / f"{at_s:03.0f}s.png"
        await tab.page.screenshot(path=path)
        if chosen_s is not None and abs(at_s - chosen_s) < EVERY_S / 2:
            shutil.copy(path, README)


async def _drain(tab: Operator) -> None:
    await tab.role("host-3").click()
    await tab.page.get_by_role("button", name="Drain").click()
    await tab.agree("Drain", "one host fewer")
    await tab.view("Overview")


@asynccontextmanager
async def _looked_at(system: System) -> AsyncIterator[Operator]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        async with profile(browser, system.http, viewport=SIZE) as made:
            made.bear_no_network()
            made.bear("50[0-9]")
            tab = await Operator.opened(made, "ann")
            await _ready(tab.page)
            yield tab
        await browser.close()


async def _ready(page: Page) -> None:
    await page.get_by_text("Live", exact=True).wait_for()
    await page.get_by_text("Shards over hosts").wait_for()


@asynccontextmanager
async def _simulation(system: System, *options: str) -> AsyncIterator[None]:
    words = ("sim", "--server", system.http, "--data", str(system.data), *options)
    process = await asyncio.create_subprocess_exec(*program("roost"), *words)
    try:
        yield
        assert await process.wait() == 0, "the simulation's promises did not hold"
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _operator(system: System) -> None:
    who: dict[str, Any] = {"username": "ann", "password": PASSWORD}
    async with aiohttp.ClientSession(system.http) as http, http.post("/v1/accounts", json=who) as answer:
        assert answer.status == 201, await answer.text()
    async with AsyncMongoClient[dict[str, Any]](system.mongo) as mongo:
        await mongo["roost"]["users"].update_one({"username": "ann"}, {"$addToSet": {"scopes": "admin"}})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Watches a simulation with faults through the operators' page."
    )
    parser.add_argument("--duration", type=float, default=130.0, metavar="S", help="default: 130")
    parser.add_argument("--rate", type=int, default=60, metavar="R", help="messages a second (60)")
    parser.add_argument("--users", type=int, default=120, metavar="N", help="virtual users (120)")
    parser.add_argument(
        "--readme", type=float, metavar="S", help="keep the picture of this second for the README"
    )
    args = parser.parse_args()
    asyncio.run(watch(args.duration, args.rate, args.users, args.readme))
    sys.stdout.write(f"{FOLDER}\n")
