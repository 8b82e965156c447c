"""Browsers as devices: linked, replaced, woken, and private."""

import asyncio
import base64
import json
import secrets
from pathlib import Path

from playwright.async_api import expect

from roost.client import Client as Sdk
from roost.client import MessageReceived, Options
from roost.wire import MAX_DEVICES
from tests.browser import pushes
from tests.browser.client import PASSWORD, Client
from tests.browser.filmed import film
from tests.browser.people import Profiles, couple, lacks, names, terminal
from tests.browser_push import Browser
from tests.live.running import System
from tests.live.waiting import until

_TWO_LOG_INS_S = 11
"""After so long a user who has used up the log-ins of a moment has two again."""

NOT_CONFIRMED = "has a new device that is not confirmed"


async def test_a_linked_browser_has_the_history_and_is_confirmed(
    url: str, profiles: Profiles, camera: Path
) -> None:
    alice, bob = await couple(profiles, url)
    for each in (alice, bob):
        await each.settings("privacy")
        await each.page.get_by_role("switch", name="Send nothing to new devices").check()
        await each.back()
    await bob.open("Alice")
    await alice.profile.context.grant_permissions(["camera"])
    second = await Client.opened(await profiles(url))
    await second.sign_in(alice.username)
    await expect(bob.page.get_by_text(NOT_CONFIRMED)).to_be_visible()
    await bob.write("For when it is confirmed")
    await second.settings("devices")
    await second.page.get_by_role("button", name="Show a code").click()
    code = await second.page.locator(".code").inner_text()
    await film(second.page.get_by_role("dialog").get_by_role("img"), camera)
    await alice.settings("devices")
    await alice.page.get_by_role("button", name="Enter or scan a code").click()
    await alice.page.get_by_label("Code").fill(code[:-12])
    await alice.page.get_by_role("button", name="Link", exact=True).click()
    await expect(alice.page.get_by_text("This is no code that links a device")).to_be_visible()
    await alice.page.get_by_role("button", name="Scan with the camera").click()
    await expect(alice.page.get_by_text("The device is linked.")).to_be_visible()
    await expect(bob.page.get_by_text(NOT_CONFIRMED)).to_be_hidden()
    await expect(second.page.get_by_role("dialog")).to_be_hidden()
    await second.back()
    await second.open("Bob")
    await second.expect_message("Hello Bob")
    await second.expect_message("Hello Alice")
    await second.expect_message("For when it is confirmed")
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
    await back.settings("about")
    await pushes.click(back.profile, alice.username)
    await back.expect_message("Are you there?")


async def test_the_messages_of_who_was_here_last_go_only_on_purpose(url: str, profiles: Profiles) -> None:
    alice, _ = await couple(profiles, url)
    alice.profile.bear("401")
    async with terminal(url, alice.username) as (sdk, _):
        await sdk.account.end_other_sessions()
    page = alice.page
    await expect(page.get_by_text(f"sign in as @{alice.username}")).to_be_visible()
    await page.get_by_role("group", name="Account").get_by_role("button", name="Sign up").click()
    carol = f"carol.{secrets.token_hex(4)}"
    await page.get_by_label("Username").fill(carol)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    dialog = page.get_by_role("dialog", name=f"Remove the messages of {alice.username}?")
    await dialog.get_by_text("Export the messages").click()
    async with page.expect_download() as downloaded:
        await dialog.get_by_role("button", name="Export as plain text").click()
    file = await (await downloaded.value).path()
    assert "Hello" in base64.b64decode(_content(file.read_text())).decode()
    await dialog.get_by_role("button", name="Remove and go on").click()
    await alice.ready()
    await expect(alice.row("Bob")).to_have_count(0)


async def test_who_has_too_many_devices_and_none_at_hand_chooses_one_that_goes(
    url: str, profiles: Profiles
) -> None:
    alice, _ = names()
    sdk = await Sdk.register(url, alice, PASSWORD, options=Options(device_name="first"))
    for number in range(1, MAX_DEVICES):
        body = {"username": alice, "password": PASSWORD, "device": {"name": f"window {number}"}}
        await sdk.api.bare("POST", "/v1/sessions", body)
    await asyncio.sleep(_TWO_LOG_INS_S)
    browser = await Client.opened(await profiles(url))
    browser.profile.bear("413")
    await browser.fill_in("Sign in", alice)
    await browser.page.locator("form").get_by_role("button", name="Sign in").click()
    dialog = browser.page.get_by_role("dialog", name="Remove a device to sign in here?")
    await dialog.get_by_label("window 7 ").check()
    await dialog.get_by_role("button", name="Remove and sign in").click()
    await browser.ready()
    left = [each.name for each in await sdk.account.devices()]
    assert len(left) == MAX_DEVICES
    assert "window 7" not in left
    await sdk.close()


def _content(archive: str) -> str:
    lines = map(json.loads, archive.splitlines())
    content: str = next(each["content"] for each in lines if each["type"] == "message")
    return content + "=" * (-len(content) % 4)


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
