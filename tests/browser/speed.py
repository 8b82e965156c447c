"""How fast the client is on a running system: python -m tests.browser.speed [URL].

Prints the figures as JSON and keeps the trace of the scrolling, for the browser's own tools.
"""

import asyncio
import json
import secrets
import statistics
import sys
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

from roost.client.content import Text, encode
from roost.ids import uuid7
from roost.wire import unpadded
from tests.browser.browsers import launch, profile
from tests.browser.client import Client
from tests.browser.views import ROOT

FOLDER: Final = ROOT / "web-speed"
MESSAGES: Final = 10_000
_DESK: Final = {"viewport": {"width": 1280, "height": 800}}
_PAINT: Final = """() => new Promise(resolve => {
  const told = list => list.getEntriesByName('first-contentful-paint').forEach(one => resolve(one.startTime))
  new PerformanceObserver(told).observe({type: 'paint', buffered: true})
})"""
_OPEN: Final = """row => new Promise(resolve => {
  const began = performance.now()
  row.click()
  const look = () => document.querySelector('.message')
    ? requestAnimationFrame(() => resolve(performance.now() - began))
    : requestAnimationFrame(look)
  look()
})"""
_SCROLL: Final = """() => new Promise(resolve => {
  const list = [...document.querySelectorAll('main *')].find(one => one.scrollHeight > 3 * one.clientHeight)
  const frames = []
  let last = performance.now()
  const step = now => {
    frames.push(now - last)
    last = now
    list.scrollTop -= 60
    if (frames.length < 300) requestAnimationFrame(step)
    else resolve(frames.slice(1))
  }
  requestAnimationFrame(step)
})"""


async def measure(url: str) -> dict[str, Any]:
    """Return the figures."""
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        try:
            return {"cold_paint_ms": await _cold(browser, url), **await _long(browser, url)}
        finally:
            await browser.close()


async def _cold(browser: Browser, url: str) -> list[float]:
    """Return first paints of fresh profiles, in milliseconds."""
    paints = []
    for _ in range(5):
        async with profile(browser, url, **_DESK) as made:
            page = await made.open()
            await page.get_by_role("button", name="Create account").wait_for()
            paints.append(round(await page.evaluate(_PAINT)))
    return paints


async def _long(browser: Browser, url: str) -> dict[str, Any]:
    """Return how a conversation of many messages opens and scrolls."""
    word = secrets.token_hex(4)
    async with profile(browser, url, **_DESK) as for_alice, profile(browser, url) as for_bob:
        alice, bob = await Client.opened(for_alice), await Client.opened(for_bob)
        await asyncio.gather(alice.sign_up(f"alice.{word}"), bob.sign_up(f"bob.{word}"))
        await alice.find(bob.username)
        await alice.write("The first of many.")
        await alice.expect_state("The first of many.", "Delivered")
        await _fill(alice)
        opened = []
        for _ in range(5):
            await alice.page.goto(url)
            await alice.ready()
            row = await alice.row(bob.username).element_handle()
            opened.append(round(await alice.page.evaluate(_OPEN, row)))
        await browser.start_tracing(page=alice.page, path=FOLDER / "scroll-trace.json")
        frames = await alice.page.evaluate(_SCROLL)
        await browser.stop_tracing()
        late = sum(each > 1000 / 60 * 1.5 for each in frames) / len(frames)
        return {
            "messages": MESSAGES,
            "open_ms": opened,
            "frame_ms": {"median": round(statistics.median(frames), 1), "most": round(max(frames), 1)},
            "late_frames": round(late, 3),
        }


async def _fill(alice: Client) -> None:
    """Make one message many, through export and import."""
    page: Page = alice.page
    await alice.settings("history")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export as plain text").click()
    exported = await (await download.value).path()
    head, *lines, end = map(json.loads, (await asyncio.to_thread(exported.read_text)).splitlines())
    message = next(each for each in lines if each["type"] == "message")
    made = []
    for each in range(MESSAGES):
        at_ms = message["at_ms"] - (MESSAGES - each) * 60_000
        content = encode(Text(f"Message {each} " + "of many " * (each % 9)))
        new = {
            "id": uuid7(at_ms, secrets.token_bytes(10)),
            "at_ms": at_ms,
            "content": unpadded(content),
            "author": alice.username if each % 3 == 0 else message["peer"],
        }
        made.append({**message, **new})
    whole = "".join(json.dumps(line) + "\n" for line in [head, *made, {**end, "lines": MESSAGES}])
    await page.locator("input[type=file]").set_input_files(
        {"name": "many.json", "mimeType": "application/json", "buffer": whole.encode()}
    )
    await page.get_by_text("messages were imported").wait_for(timeout=120_000)


if __name__ == "__main__":
    found = asyncio.run(measure((sys.argv[1:] or ["http://127.0.0.1:8080"])[0].rstrip("/")))
    print(json.dumps(found, indent=1))  # noqa: T201 -- it is what this is for
