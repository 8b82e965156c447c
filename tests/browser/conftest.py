"""One Chromium for all tests, and profiles in it."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.browsers import Profile, launch, profile
from tests.browser.served import serving
from tests.browser.views import DEMO, build_demo

expect.set_options(timeout=30_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", metavar="URL", help="use this running system where nothing of it is killed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have all tests here on one event loop: the browser's connection lives on it."""
    for item in items:
        if "tests/browser/" in item.nodeid and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film that the browser's camera shows: written by the test that opens the camera."""
    return tmp_path_factory.mktemp("camera") / "film.y4m"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(camera: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, camera)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def profiles(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Make profiles: ``await profiles(url, **options)``; none of them may have complained in the end."""
    async with AsyncExitStack() as stack:

        async def make(url: str, **options: Any) -> Profile:
            return await stack.enter_async_context(profile(browser, url, **options))

        yield make


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def demo() -> AsyncIterator[str]:
    """Where the pages are served that have everything behind them made up."""
    await build_demo()
    async with serving(DEMO) as server:
        yield server.url


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """Where the client is served by a running system."""
    given: str | None = request.config.getoption("--server", None)
    return given or str(request.getfixturevalue("system").http)
