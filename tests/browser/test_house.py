"""The house around the client: its policy, its service worker, its builds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page

from api.http import built_files
from tests.browser import pushes
from tests.browser.people import Profiles
from tests.browser.served import BUILD, release, serving

FIRST_LOAD = 120 * 1024
"""Bytes, compressed, that a browser fetches to show the client for the first time."""

CONTROLLED = "() => navigator.serviceWorker.ready.then(() => navigator.serviceWorker.controller !== null)"


async def shown(page: Page) -> None:
    """Wait until the client asks who is there."""
    await page.get_by_role("button", name="Create account").wait_for()


async def described(page: Page) -> str:
    """Return what says which build the page is of."""
    content: str = await page.evaluate("document.querySelector('meta[name=description]').content")
    return content


async def installed(page: Page) -> None:
    """Wait until the service worker keeps the build and serves this page."""
    await page.wait_for_function(CONTROLLED)


async def next_in_charge(page: Page) -> asyncio.Event:
    """Return what is set when the service worker after the first is in charge.

    The browser puts it there when no page of the client is left, and takes a second or more for that; a page
    that is opened in the meantime waits for it.

    Args:
        page: One that is not of the client.
    """
    cdp = await page.context.new_cdp_session(page)
    taken_over = asyncio.Event()

    def on_update(event: dict[str, Any]) -> None:
        # A profile counts its service workers from 0.
        if ("1", "activated") in [(each["versionId"], each["status"]) for each in event["versions"]]:
            taken_over.set()

    cdp.on("ServiceWorker.workerVersionUpdated", on_update)
    await cdp.send("ServiceWorker.enable")
    return taken_over


async def test_the_first_load_is_small(profiles: Profiles) -> None:
    async with serving(BUILD) as server:
        await shown(await (await profiles(server.url)).open())
        files = built_files.read(BUILD)
        weighed = {path: len(files[path].forms.get("br", files[path].forms[""])) for path in server.asked}
    assert {"index.html", "sw.js"} <= weighed.keys()
    assert sum(weighed.values()) < FIRST_LOAD, weighed


@pytest_asyncio.fixture(loop_scope="session")
async def url() -> AsyncIterator[str]:
    """The client without a server behind it."""
    async with serving(BUILD) as server:
        yield server.url


async def test_the_client_opens_without_a_complaint(url: str, profiles: Profiles) -> None:
    page = await (await profiles(url)).open()
    assert await page.title() == "Roost"
    await installed(page)


@pytest.mark.attack(
    "put a script into the web client's page", "its Content-Security-Policy with Trusted Types"
)
async def test_text_does_not_become_code(url: str, profiles: Profiles) -> None:
    profile = await profiles(url)
    page = await profile.open()
    profile.bear("TrustedScript|TrustedHTML|Trusted Type|Content Security Policy")
    tried = await page.evaluate(
        """() => new Promise(resolve => setTimeout(() => {
          const tries = {
            inline: () => { document.createElement('script').text = 'ran=1' },
            html: () => { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="ran=1">') },
            code: () => { eval('ran=1') },
            elsewhere: () => { new Worker('blob:x') },
          }
          const succeeds = run => { try { run(); return true } catch { return false } }
          resolve(Object.entries(tries).filter(([, run]) => succeeds(run)).map(([name]) => name))
        }))"""
    )
    assert tried == []
    assert await page.evaluate("'ran' in globalThis") is False


async def test_it_opens_without_a_network(url: str, profiles: Profiles) -> None:
    profile = await profiles(url)
    page = await profile.open()
    await installed(page)
    profile.bear_no_network()
    await profile.context.set_offline(True)
    await page.reload()
    await shown(page)


async def test_a_new_build_waits_until_the_person_agrees(profiles: Profiles, tmp_path: Path) -> None:
    async with serving(BUILD) as server:
        profile = await profiles(server.url)
        page = await profile.open()
        await installed(page)
        server.serve(release(tmp_path / "next", "a later one"))
        told = await page.evaluate(
            """new Promise(resolve => {
              navigator.serviceWorker.addEventListener('message', event => resolve(event.data))
              navigator.serviceWorker.ready.then(registration => registration.update())
            })"""
        )
        assert told == {"type": "update", "build": "a later one"}
        taken_over = await next_in_charge(await profile.context.new_page())
        await page.close()
        async with asyncio.timeout(60):
            await taken_over.wait()
        page = await profile.open()
        assert await described(page) != "a later one"
        async with page.expect_navigation():
            await page.get_by_role("button", name="Reload").click()
        assert await described(page) == "a later one"


@pytest.mark.attack(
    "serve a file that is not of the build that the service worker names",
    "each file is checked against its hash",
)
async def test_a_build_with_a_wrong_file_is_not_taken(profiles: Profiles, tmp_path: Path) -> None:
    async with serving(BUILD) as server:
        profile = await profiles(server.url)
        page = await profile.open()
        await installed(page)
        wrong = release(tmp_path / "wrong", "a later one")
        with (wrong / "index.html").open("a") as file:
            file.write("<!-- and more -->")
        server.serve(wrong)
        profile.bear("integrity|digest")
        ended = await page.evaluate(
            """navigator.serviceWorker.ready.then(registration => registration.update()).then(
              registration => new Promise(resolve => {
                const worker = registration.installing
                worker.addEventListener('statechange', () => resolve(worker.state))
              }))"""
        )
        assert ended == "redundant"
        await page.reload()
        assert await described(page) != "a later one"


async def test_a_push_shows_a_notification_that_names_no_one_unless_a_page_is_looked_at(
    url: str, profiles: Profiles
) -> None:
    profile = await profiles(url, permissions=["notifications"])
    page, other = await profile.open(), await profile.context.new_page()
    await installed(page)
    where = await pushes.place(page)
    await pushes.push(other, where)
    for _ in range(20):
        assert await pushes.notifications(page) == []
        await page.wait_for_timeout(20)
    await page.close()
    await pushes.push(other, where)
    assert await pushes.notified(await profile.open()) == [
        {"title": "Roost", "body": "You have new messages."}
    ]
