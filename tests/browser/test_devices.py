"""Browsers as devices: linked, replaced, woken, and private."""

import secrets

from playwright.async_api import expect

from roost.client import MessageReceived
from tests.browser import pushes
from tests.browser.client import PASSWORD, Client
from tests.browser.people import Profiles, couple, lacks, terminal
from tests.browser_push import Browser
from tests.live.running import System
from tests.live.waiting import until

NOT_CONFIRMED = "has a device that was added but not confirmed"


async def test_a_linked_browser_has_the_history_and_is_confirmed(url: str, profiles: Profiles) -> None:
    alice, bob = await couple(profiles, url)
    second = await Client.opened(await profiles(url))
    await second.sign_in(alice.username)
    await expect(bob.page.get_by_text(NOT_CONFIRMED)).to_be_visible()
    await second.settings("devices")
    await second.page.get_by_role("button", name="Show a code").click()
    code = await second.page.locator(".code").inner_text()
    await alice.settings("devices")
    await alice.page.get_by_role("button", name="Enter or scan a code").click()
    await alice.page.get_by_label("Code").fill(code)
    await alice.page.get_by_role("button", name="Link", exact=True).click()
    await expect(alice.page.get_by_text("The device is linked.")).to_be_visible()
    await expect(bob.page.get_by_text(NOT_CONFIRMED)).to_be_hidden()
    await expect(second.page.get_by_role("dialog")).to_be_hidden()
    await second.back()
    await second.open("Bob")
    await second.expect_message("Hello Bob")
    await second.expect_message("Hello Alice")
    await bob.write("To both of yours")
    await second.expect_message("To both of yours")


async def test_another_identity_is_noticed_and_nothing_is_sent_until_the_person_agrees(
    url: str, profiles: Profiles
) -> None:
    alice, bob = await couple(profiles, url)
    await expect(bob.composer).to_be_visible()
    async with terminal(url, alice.username) as (sdk, told):
        await sdk.replace_identity(PASSWORD)
        await sdk.send(bob.username, "I have other keys")
        await bob.expect_message("I have other keys")
        await expect(bob.page.get_by_text("safety number with Alice has changed").first).to_be_visible()
        await expect(bob.composer).to_have_count(0)
        await bob.page.get_by_role("button", name="Go on").click()
        await bob.page.get_by_role("button", name="Use the new keys").click()
        await bob.write("I see")
        await until(lambda: lacks(told, MessageReceived, "I see"), within=10)


async def test_a_closed_browser_is_woken(system: System, profiles: Profiles) -> None:
    alice, bob = await couple(profiles, system.http)
    browser = Browser(f"{system.fcm}/webpush/{secrets.token_hex(8)}")
    await pushes.subscribes(bob.profile, browser)
    await bob.profile.context.grant_permissions(["notifications"])
    await bob.page.reload()
    await bob.settings("notifications")
    switch = bob.page.get_by_role("switch", name="Notify me")
    await switch.check()
    await expect(switch).to_be_enabled()
    where = await pushes.place(bob.page)
    other = await bob.profile.context.new_page()
    await bob.page.close()
    await alice.write("Are you there?")

    async def absent() -> str:
        tokens = [each["token"] for each in await system.pushes()]
        return "" if browser.endpoint in tokens else f"no push for {browser.endpoint} in {tokens}"

    await until(absent, within=20)
    await pushes.push(other, where)
    back = await Client.opened(bob.profile)
    assert await pushes.notified(back.page) == [{"title": "Roost", "body": "You have new messages."}]
    await back.ready()
    await back.open("Alice")
    await back.expect_message("Are you there?")


async def test_a_window_that_keeps_nothing_says_so_and_works(url: str, profiles: Profiles) -> None:
    """There is neither a database nor a worker: the engine is in one of the tabs."""
    alice, _ = await couple(profiles, url)
    profile = await profiles(url)
    for name in ("indexedDB", "SharedWorker"):
        await profile.context.add_init_script(
            f"Object.defineProperty(globalThis, {name!r}, {{value: undefined}})"
        )
    carol = await Client.opened(profile)
    await expect(carol.page.get_by_text("This looks like a private window")).to_be_visible()
    await carol.sign_up(f"carol.{secrets.token_hex(4)}", "Carol")
    await carol.find(alice.username)
    await carol.write("From a private window")
    await alice.open("Carol")
    await alice.expect_message("From a private window")
    second = await Client.opened(profile)
    await second.ready()
    await second.open("Alice")
    await second.expect_message("From a private window")
