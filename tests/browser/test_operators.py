"""The operators' page: what it shows, and that its buttons do what they say."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from api.http import built_files
from sim.faults.proxy import Proxy
from tests.browser.accounts import account
from tests.browser.operators import VIEWS, Operator, show
from tests.browser.people import Profiles
from tests.browser.served import BUILD, serving
from tests.browser.test_house import FIRST_LOAD
from tests.browser.test_views import AXE, PHONE, RULES
from tests.live.running import System
from tests.live.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def http(system: System) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(system.http) as session:
        yield session


@pytest.mark.parametrize(
    ("shape", "views"),
    [
        pytest.param({"color_scheme": "light"}, ("overview", "events", "user"), id="some"),
        pytest.param({"color_scheme": "light"}, tuple(VIEWS), id="light", marks=pytest.mark.slow),
        pytest.param({"color_scheme": "dark"}, tuple(VIEWS), id="dark", marks=pytest.mark.slow),
        pytest.param({"color_scheme": "dark", **PHONE}, tuple(VIEWS), id="phone", marks=pytest.mark.slow),
    ],
)
async def test_every_view_is_for_everyone(
    demo: str, profiles: Profiles, shape: dict[str, Any], views: tuple[str, ...]
) -> None:
    profile = await profiles(demo, reduced_motion="reduce", **shape)
    page = await profile.context.new_page()
    found = {}
    for name in views:
        await page.goto("about:blank")
        await show(page, demo, name)
        await page.evaluate(AXE())
        if wrong := await page.evaluate(RULES):
            found[name] = wrong
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert found == {}


async def test_the_first_load_is_small_and_no_part_of_the_clients(profiles: Profiles) -> None:
    async with serving(BUILD) as server:
        page = await (await profiles(server.url)).open("ops")
        await page.get_by_role("button", name="Sign in").wait_for()
        own = set(server.asked)
        server.asked.clear()
        page = await (await profiles(server.url)).open()
        await page.get_by_role("button", name="Create account").wait_for()
        clients = set(server.asked)
    files = built_files.read(BUILD)
    weighed = {path: len(files[path].forms.get("br", files[path].forms[""])) for path in own - {"ops"}}
    assert sum(weighed.values()) < FIRST_LOAD, weighed
    assert any(path.startswith("assets/ops/") for path in own)
    assert not any("ops" in path for path in clients)
    assert all(path.startswith(("assets/ops/", "icons/", "ops")) for path in own)


async def test_an_observer_sees_everything_and_has_no_button_that_acts(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    observer = await account(system, http, "observer")
    tab = await Operator.opened(await profiles(system.http), observer.username)
    await expect(tab.page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(tab.role("host-1")).to_be_visible()

    async def otherwise() -> str:  # a spare may just be coming, and the page is told of it in steps
        shown, there = await tab.roles(), {row["name"] for row in await system.roles()}
        return "" if shown == there else f"shown {shown}, there are {there}"

    await until(otherwise, within=20)
    await tab.role("host-1").click()
    await expect(tab.page.get_by_role("heading", name="host-1")).to_be_visible()
    await expect(tab.page.get_by_text("running", exact=True)).to_be_visible()
    names = {"Scale", "Drain", "Upgrade", "Undrain", "Dump", "Retry", "Close the", "End the"}
    for view in ("Overview", "Events", "Connections", "Users", "Dead letters", "Settings"):
        await tab.view(view)
        buttons = await tab.page.get_by_role("button").all_inner_texts()
        assert not [each for each in buttons if any(name in each for name in names)], view


async def test_who_lacks_the_scope_is_told_how_to_get_it(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    anyone = await account(system, http)
    tab = await Operator.opened(await profiles(system.http), anyone.username)
    command = f"roost admin grant {anyone.username} observer"
    await expect(tab.page.get_by_role("alert")).to_contain_text(command)


async def test_nothing_is_scaled_before_it_is_known_what_there_is(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    admin, profile = await account(system, http, "admin"), await profiles(system.http)
    await profile.context.route("**/admin/v1/stream", lambda _: None)  # it is never answered
    tab = await Operator.opened(profile, admin.username)
    await expect(tab.page.get_by_role("button", name="Scale")).to_be_disabled()


async def test_what_is_old_is_never_shown_as_new(
    system: System, http: aiohttp.ClientSession, profiles: Profiles
) -> None:
    observer = await account(system, http, "observer")
    async with Proxy(system.http.removeprefix("http://")) as network:
        profile = await profiles(f"http://{network.address}")
        tab = await Operator.opened(profile, observer.username)
        live = tab.page.get_by_text("Live", exact=True)
        await expect(live).to_be_visible()
        profile.bear_no_network()
        await network.refuse()
        await expect(tab.page.get_by_text("What you see is as of")).to_be_visible()
        await expect(live).to_be_hidden()
        await expect(tab.page.locator("main.stale")).to_be_attached()
        await network.heal()
        await expect(live).to_be_visible()
        await expect(tab.page.locator("main.stale")).not_to_be_attached()
