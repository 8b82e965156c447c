"""Watches a simulation with faults through the operators' page: python -m tests.browser.watched_faults.

Three machines under traffic: a host is killed, the store hangs, a machine is cut off and let back, another
one is drained. Every ten seconds there is a picture in `screenshots/ops`, and beside them in `told.txt` what
was done when. `--readme` puts one of them among the documents' pictures.
"""

import argparse
import asyncio
import itertools
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import async_playwright, expect

from tests.browser.browsers import chromium, launch, profile
from tests.browser.operators import Operator
from tests.browser.views import ROOT
from tests.cluster.begun import begun
from tests.cluster.cluster import Cluster
from tests.cluster.hosts import Host
from tests.cluster.load import load
from tests.cluster.site_servers import BROWSER_URL
from tests.cluster.telling import fresh

FOLDER: Final = ROOT / "screenshots" / "ops"
README: Final = ROOT / "docs" / "images" / "ops-overview.png"
MACHINES: Final = ("oak", "pine", "yew")
STORE: Final = "secantusd"
EVERY_S: Final = 10.0
LASTS_S: Final = 270.0
DRAINED_S: Final = 150.0
SIZE: Final = {"width": 1280, "height": 860}


class Story:
    """What happens to the machines, and when.

    Args:
        cluster: Them.
        tab: The page, where an operator drains.
    """

    def __init__(self, cluster: Cluster, tab: Operator) -> None:
        self._cluster, self._tab = cluster, tab
        self._began = time.monotonic()

    async def told(self, until_s: float) -> None:
        """Let it happen until this second, and take a picture every ten seconds."""
        try:
            async with asyncio.timeout(until_s):
                await asyncio.gather(self._happens(), self._pictures())
        except TimeoutError:
            self._tell("the end")

    async def _happens(self) -> None:
        cut, drained = await asyncio.to_thread(self._workers)
        killed = await asyncio.to_thread(self._host_on, drained)
        await self._at(15, f"{killed['name']} on {drained.name} is killed")
        await asyncio.to_thread(drained.run, "kill", "-KILL", str(killed["pid"]))
        await self._at(45, "the store hangs")
        await asyncio.to_thread(self._signal_store, "STOP")
        await self._at(65, "the store goes on")
        await asyncio.to_thread(self._signal_store, "CONT")
        await self._at(85, f"{cut.name} is cut off")
        cut.cut_off()
        await self._at(128, f"{cut.name} is let back")
        cut.let_back()
        await self._at(185, f"an operator drains {drained.name}")
        await self._press("Drain", drained)
        await self._tab.agree("Drain", "end one by one and start on other machines")
        self._tell("drained: " + await self._tab.done(f"drain {drained.name}", within_s=DRAINED_S))
        assert await asyncio.to_thread(self._drained) == {drained.address}
        self._tell(f"an operator undrains {drained.name}")
        await self._press("Undrain", drained)
        await self._tab.agree("Undrain", "may run on this machine again")
        await self._tab.done(f"undrain {drained.name}")
        assert await asyncio.to_thread(self._drained) == set()

    async def _pictures(self) -> None:
        for number in itertools.count():
            await asyncio.sleep(max(0.0, self._began + number * EVERY_S - time.monotonic()))
            await self._tab.page.screenshot(path=FOLDER / f"{self._now_s():03.0f}s.png")

    def _now_s(self) -> float:
        return time.monotonic() - self._began

    async def _at(self, second: float, text: str) -> None:
        await asyncio.sleep(max(0.0, second - self._now_s()))
        self._tell(text)

    def _tell(self, text: str) -> None:
        with (FOLDER / "told.txt").open("a") as told:
            told.write(f"{self._now_s():5.1f} s: {text}\n")

    def _workers(self) -> tuple[Host, Host]:
        """Return the machines without Ray's head: first the one without the coordinator, if only one is."""
        [control] = [row["node"] for row in self._roles() if row["role"] == "coordinator"]
        first, second = (each for each in self._cluster.site.hosts.values() if each is not self._cluster.head)
        return (second, first) if first.address == control else (first, second)

    def _roles(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._cluster.status()["roles"]
        return rows

    def _host_on(self, machine: Host) -> dict[str, Any]:
        [host] = [row for row in self._roles() if (row["role"], row["node"]) == ("host", machine.address)]
        return host

    def _drained(self) -> set[str]:
        return {row["node"] for row in self._cluster.status()["nodes"] if row["drained"]}

    def _signal_store(self, signal: str) -> None:
        self._cluster.site.run("pkill", f"-{signal}", "-f", STORE)

    async def _press(self, act: str, machine: Host) -> None:
        await self._tab.page.get_by_role("button", name=f"{act} {machine.name}", exact=True).click()


async def watch(until_s: float) -> None:
    """Run the simulation on three machines, and take the pictures until this second."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    out = fresh()
    with begun(out, MACHINES) as cluster:
        said = cluster.roost("admin", "create-user", "ann", "--generate", "--scope", "admin", "--json")
        password = json.loads(said.splitlines()[-1])["password"]
        # What blocks here blocks no one: Chromium is another process.
        async with _looked_at(cluster, password) as tab:
            with load(cluster.site, out, "watched", until_s):
                await Story(cluster, tab).told(until_s)


@asynccontextmanager
async def _looked_at(cluster: Cluster, password: str) -> AsyncIterator[Operator]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, program=cluster.site.program(chromium()))
        async with profile(browser, BROWSER_URL, viewport=SIZE) as made:
            made.bear_no_network()
            made.bear("50[0-9]")
            tab = await Operator.opened(made, "ann", password)
            await expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
            await expect(tab.page.get_by_text("Shards over hosts")).to_be_visible()
            await tab.page.mouse.move(0, 0)  # where it was, a box would look chosen
            yield tab
        await browser.close()


def _keep_for_readme(second: float) -> None:
    """Keep the picture that was taken nearest to this second."""
    nearest = min(FOLDER.glob("*s.png"), key=lambda file: abs(int(file.stem[:-1]) - second))
    shutil.copy(nearest, README)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Watches a simulation with faults through the operators' page."
    )
    parser.add_argument(
        "--readme", type=float, metavar="S", help="keep the picture of this second for the README"
    )
    parser.add_argument(
        "--until", type=float, default=LASTS_S, metavar="S", help=f"end in this second ({LASTS_S:g})"
    )
    args = parser.parse_args()
    asyncio.run(watch(args.until))
    if args.readme is not None:
        _keep_for_readme(args.readme)
    sys.stdout.write(f"{FOLDER}\n")
