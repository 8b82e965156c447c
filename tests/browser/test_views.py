"""Every view: usable by everyone (axe-core), and without a complaint in the console."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.views import ROOT, VIEWS

Profiles = Callable[..., Any]
AXE = (ROOT / "api" / "web" / "client" / "node_modules" / "axe-core" / "axe.min.js").read_text
RULES = """() => axe.run(document).then(({violations}) => violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => [one.help, ...one.nodes.slice(0, 3).map(node => node.target.join(' '))].join(' | ')))"""
SCROLLED = """async () => {
  const list = document.activeElement.closest('.view')
  for (let step = 0; step < 20; step++) {
    list.scrollTop -= 2000
    await new Promise(requestAnimationFrame)
  }
  return {focused: document.activeElement.id, below: document.activeElement.getBoundingClientRect().top}
}"""
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"color_scheme": "light"}, id="light"),
        pytest.param({"color_scheme": "dark", **PHONE}, id="dark-phone", marks=pytest.mark.slow),
    ],
)
async def test_every_view_is_for_everyone(demo: str, profiles: Profiles, shape: dict[str, Any]) -> None:
    profile = await profiles(demo, reduced_motion="reduce", bypass_csp=False, **shape)
    found = {}
    page = await profile.context.new_page()
    for view in VIEWS:
        await page.goto("about:blank")
        await view.show(page, demo)
        await page.evaluate(AXE())
        if wrong := await page.evaluate(RULES):
            found[view.name] = wrong
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view.name
    assert found == {}


async def test_a_message_keeps_the_focus_however_far_it_is_scrolled(demo: str, profiles: Profiles) -> None:
    page = await (await profiles(demo, reduced_motion="reduce")).open("#/with/carol")
    await page.locator(".message").last.focus()
    focused = await page.evaluate("document.activeElement.id")
    moved = await page.evaluate(SCROLLED)
    assert moved["focused"] == focused
    assert moved["below"] > 5000
    await page.keyboard.press("ArrowUp")
    await expect(page.locator(f"[id='{focused}']")).not_to_be_focused()
    await expect(page.locator(".message:focus")).to_be_in_viewport()
