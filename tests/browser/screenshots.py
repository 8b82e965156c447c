"""Takes a picture of every view, light and dark, large and small: python -m tests.browser.screenshots."""

import asyncio
import sys
from typing import Any, Final

from playwright.async_api import Browser, async_playwright

from tests.browser.browsers import launch, profile
from tests.browser.served import serving
from tests.browser.views import DEMO, ROOT, VIEWS, View, build_demo

FOLDER: Final = ROOT / "screenshots"
_PHONE: Final = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
_DESK: Final = {"viewport": {"width": 1280, "height": 800}}
SHAPES: Final[dict[str, dict[str, Any]]] = {
    "light": {**_DESK, "color_scheme": "light"},
    "dark": {**_DESK, "color_scheme": "dark"},
    "phone": {**_PHONE, "color_scheme": "light"},
    "phone-dark": {**_PHONE, "color_scheme": "dark"},
}


async def take(wanted: list[View]) -> None:
    """Take the pictures of some views."""
    await build_demo()
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright, serving(DEMO) as server:
        browser = await launch(playwright)
        for shape, options in SHAPES.items():
            await _shoot(browser, server.url, shape, options, wanted)
        await browser.close()


async def _shoot(browser: Browser, url: str, shape: str, options: dict[str, Any], wanted: list[View]) -> None:
    async with profile(browser, url, reduced_motion="reduce", service_workers="block", **options) as made:
        made.bear("Service Worker registration blocked")
        for view in wanted:
            page = await made.context.new_page()
            await view.show(page, url)
            await page.screenshot(path=FOLDER / f"{view.name}-{shape}.png")
            await page.close()


if __name__ == "__main__":
    asyncio.run(take([each for each in VIEWS if not sys.argv[1:] or each.name in sys.argv[1:]]))
