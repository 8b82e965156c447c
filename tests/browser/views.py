"""Every view of the client, on an engine in memory with people and messages of every kind."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Locator, Page

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = ROOT / "api" / "web" / "client" / "node_modules" / ".demo"
"""The demo's build: the pages as they are, and `src/dev` in the engine's place."""

Steps = Callable[[Page], Awaitable[object]]


async def build_demo() -> None:
    """Build the client with the engine of `src/dev`."""
    script = ROOT / "api" / "web" / "build.py"
    process = await asyncio.create_subprocess_exec(sys.executable, script, "--run", "demo-build")
    assert await process.wait() == 0


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        name: In the names of files.
        address: Behind the server's.
        steps: What a person does there.
    """

    name: str
    address: str
    steps: Steps | None = None

    async def show(self, page: Page, url: str) -> None:
        """Show it, and wait until it stands still."""
        await page.goto(f"{url}/{self.address}")
        await page.wait_for_function("() => document.querySelector('#app h1, #app h2, #app main')")
        if self.steps is not None:
            await self.steps(page)
        await page.wait_for_function(
            "() => document.getAnimations().every(one => one.playState !== 'running')"
        )


def _button(name: str) -> Steps:
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


async def _leftover(page: Page) -> None:
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password", exact=True).fill("a long password")
    await page.locator("form").get_by_role("button", name="Sign in").click()
    await page.get_by_text("Export the messages").click()


async def _too_many_devices(page: Page) -> None:
    await page.get_by_role("button", name="Sign in", exact=True).first.click()
    await page.get_by_label("Username").fill("everywhere")
    await page.get_by_label("Password", exact=True).fill("a long password")
    await page.locator("form").get_by_role("button", name="Sign in").click()
    await page.get_by_role("dialog").wait_for()


async def _menu(page: Page) -> None:
    message = page.locator(".message", has_text="The birds. Look").first
    await message.focus()
    await page.keyboard.press("Enter")


async def _react(page: Page) -> None:
    message = page.locator(".message", has_text="I bring the cake.").first
    await message.hover()
    await message.get_by_role("button", name="React").click()


async def _reply(page: Page) -> None:
    await page.locator(".message", has_text="I bring the cake.").first.focus()
    await page.keyboard.press("r")
    await page.get_by_role("textbox", name="Message to").fill("Wonderful. Which one?")


async def _delete(page: Page) -> None:
    await page.locator(".message", has_text="This one did not go.").first.focus()
    await page.keyboard.press("Delete")


async def _up(page: Page) -> Locator:
    """Go to the first messages, and return a picture among them."""
    await page.locator(".message").last.focus()
    await page.keyboard.press("Home")
    return page.get_by_role("listitem").get_by_role("button", name="Picture").first


async def _viewer(page: Page) -> None:
    await (await _up(page)).click()
    await page.get_by_role("dialog").locator("img").wait_for()


async def _pictures(page: Page) -> None:
    await (await _up(page)).scroll_into_view_if_needed()
    await page.wait_for_function(
        "() => [...document.querySelectorAll('.message img')].some(one => one.naturalWidth > 200)"
    )


async def _file(page: Page) -> None:
    picture = ROOT / "api" / "web" / "client" / "public" / "icons" / "512.png"
    await page.locator("input[type=file]").set_input_files(picture)
    await page.get_by_role("dialog").locator("img").wait_for()


async def _search(page: Page) -> None:
    await page.get_by_role("searchbox").fill("birds")
    await page.get_by_role("status").filter(has_text="message").first.wait_for()


SECTIONS: Final = ("profile", "privacy", "notifications", "appearance", "password", "history", "about", "out")

VIEWS: Final = (
    View("sign-up", "?demo=signed-out"),
    View("sign-in", "?demo=signed-out", _button("Sign in")),
    View("sign-in-again", "?demo=left"),
    View("leftover", "?demo=left", _leftover),
    View("too-many-devices", "?demo=signed-out", _too_many_devices),
    View("empty", "?demo=empty"),
    View("blocked-network", "?demo=blocked"),
    View("chats", ""),
    View("new-conversation", "", _button("New conversation")),
    View("requests", "", lambda page: page.get_by_role("button", name="Message requests").click()),
    View("request", "#/with/stranger"),
    View("search", "", _search),
    View("conversation", "#/with/bob"),
    View("pictures", "#/with/bob", _pictures),
    View("menu", "#/with/bob", _menu),
    View("react", "#/with/bob", _react),
    View("reply", "#/with/bob", _reply),
    View("delete", "#/with/bob", _delete),
    View("viewer", "#/with/bob", _viewer),
    View("send-file", "#/with/bob", _file),
    View("keys-changed", "#/with/dmitri"),
    View("not-confirmed", "#/with/farid"),
    View("blocked", "#/with/gus"),
    View("details", "#/with/bob/details"),
    View("settings", "#/settings"),
    *(View(f"settings-{each}", f"#/settings/{each}") for each in SECTIONS),
    View("devices", "#/settings/devices"),
    View("link-show", "?demo=unlinked#/settings/devices", _button("Show a code")),
    View("link-enter", "#/settings/devices", _button("Enter or scan a code")),
    View("shortcuts", "", lambda page: page.keyboard.press("?")),
)
