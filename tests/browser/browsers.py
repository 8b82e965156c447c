"""Chromium as people have it: each person in a profile of their own, and every complaint of it kept."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

_ARGS: Final = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WITHOUT_NETWORK: Final = re.compile(
    r"net::ERR_(INTERNET_DISCONNECTED|CONNECTION_\w+|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING|FAILED)"
)
"""What Chromium itself says of a server or a network that is away; the page cannot keep it from that."""


def chromium() -> str:
    """Return the path of Debian's Chromium."""
    path = shutil.which("chromium")
    assert path is not None, "run: make browser-ready"
    return path


async def launch(playwright: Playwright, camera: Path | None = None, program: Path | None = None) -> Browser:
    """Start Chromium, without a window.

    Args:
        playwright: What drives it.
        camera: The film that its camera shows, which need not be there before the camera is opened.
        program: What starts it, if it is not simply `chromium`.
    """
    film = (
        ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}")
        if camera
        else ()
    )
    return await playwright.chromium.launch(executable_path=program or chromium(), args=[*_ARGS, *film])


class Profile:
    """One person's browser.

    Attributes:
        context: It.
        complaints: Warnings and errors on the console, of pages and workers, and what they threw.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.complaints: list[str] = []
        self._url = url
        self._borne: list[re.Pattern[str]] = []
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"thrown: {error.error}"))

    async def open(self, path: str = "") -> Page:
        """Open a tab with the client."""
        page = await self.context.new_page()
        await page.goto(f"{self._url}/{path}")
        return page

    def bear(self, pattern: str) -> None:
        """Expect complaints of this kind: the test causes them."""
        self._borne.append(re.compile(pattern))

    def bear_no_network(self) -> None:
        """Expect what Chromium says while the test takes the network or the server away."""
        self._borne.append(_WITHOUT_NETWORK)

    def check(self) -> None:
        """Fail if there was a complaint that is not expected."""
        left = [each for each in self.complaints if not any(kind.search(each) for kind in self._borne)]
        assert not left, "\n".join(left)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@asynccontextmanager
async def profile(browser: Browser, url: str, **options: Any) -> AsyncIterator[Profile]:
    """Make a fresh profile; when it is left without an error, there must have been no complaint."""
    context = await browser.new_context(**options)
    context.set_default_timeout(30_000)
    made = Profile(context, url)
    try:
        yield made
        made.check()
    finally:
        await context.close()
