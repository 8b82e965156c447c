"""Takes the documents' pictures, of a fresh system: python -m tests.browser.illustrations URL."""

import asyncio
import base64
import sys
from typing import Final

from playwright.async_api import FilePayload, Page, async_playwright

from tests.browser.browsers import launch, profile
from tests.browser.client import Client
from tests.browser.views import ROOT

FOLDER: Final = ROOT / "docs" / "images"
_DESK: Final = {"viewport": {"width": 1000, "height": 640}}
_PHONE: Final = {"viewport": {"width": 390, "height": 700}, "color_scheme": "dark", "has_touch": True}

_PAINT: Final = """() => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 600, height: 300})
  const on = canvas.getContext('2d')
  const sky = on.createLinearGradient(0, 0, 0, 300)
  for (const [at, colour] of [[0, '#2b2460'], [0.6, '#b56576'], [1, '#eaac8b']]) sky.addColorStop(at, colour)
  on.fillStyle = sky
  on.fillRect(0, 0, 600, 300)
  on.fillStyle = '#1c1630'
  on.fillRect(0, 190, 600, 2)
  for (const x of [180, 230, 420]) { on.beginPath(); on.ellipse(x, 182, 9, 15, 0.2, 0, 7); on.fill() }
  return canvas.toDataURL()
}"""


async def take(url: str) -> None:
    """Let the two talk, and take the pictures."""
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        async with profile(browser, url, **_DESK) as for_alice, profile(browser, url, **_PHONE) as for_bob:
            alice, bob = await Client.opened(for_alice), await Client.opened(for_bob)
            await alice.page.get_by_label("Username").fill("alice")
            await alice.page.get_by_label("Name (optional)").fill("Alice")
            await alice.page.screenshot(path=FOLDER / "web-sign-up.png")
            await asyncio.gather(alice.sign_up("alice", "Alice"), bob.sign_up("bob", "Bob"))
            await _talk(alice, bob)
            await alice.page.screenshot(path=FOLDER / "web-conversation.png")
            await bob.page.screenshot(path=FOLDER / "web-phone.png")
            await alice.page.set_viewport_size({"width": 1240, "height": 780})
            await alice.page.get_by_role("button", name="Details").last.click()
            await alice.page.get_by_text("Compare it with the one").scroll_into_view_if_needed()
            await alice.page.screenshot(path=FOLDER / "web-safety.png")
        await browser.close()


async def _evening(page: Page) -> FilePayload:
    """Paint birds on a wire."""
    painted: str = await page.evaluate(_PAINT)
    return {
        "name": "evening.png",
        "mimeType": "image/png",
        "buffer": base64.b64decode(painted.partition(",")[2]),
    }


async def _talk(alice: Client, bob: Client) -> None:
    await alice.find("bob")
    await alice.write("Hello Bob! This is Alice, from my browser.")
    await bob.open("Alice")
    await bob.write("Hello Alice. Shall we go to the lake on Sunday?")
    await alice.expect_message("on Sunday?")
    await alice.attach(await _evening(alice.page), "It looked like this yesterday")
    await bob.key("It looked like this yesterday", "r")
    await bob.write("Then let us go before the rain.")
    await alice.expect_message("before the rain")
    await alice.write("I pick you up at nine.")
    await alice.expect_state("I pick you up at nine.", "Read")
    await bob.page.wait_for_timeout(1000)  # pictures come in


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1].rstrip("/")))
