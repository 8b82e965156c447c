"""People in browsers, and one of them in a terminal as well, on a running system."""

from pathlib import Path

from playwright.async_api import expect

from roost.client import MessageReceived, SentElsewhere
from sim.faults.proxy import Proxy
from tests.browser.client import Client
from tests.browser.people import Profiles, couple, lacks, names, person, terminal
from tests.live.running import System
from tests.live.waiting import until

PICTURE = Path(__file__).parents[2] / "api" / "web" / "client" / "public" / "icons" / "192.png"
_BACK_MS = 30_000
"""A client that was without its server tries again after half a minute at the latest."""


async def test_all_that_can_be_done_with_a_message(url: str, profiles: Profiles) -> None:
    alice, bob = await couple(profiles, url)
    await alice.expect_state("Hello Bob", "Read")
    await alice.attach(PICTURE, "Our mark")
    picture = bob.message("Our mark").get_by_role("button", name="Picture 192.png").locator("img")
    await expect(picture).to_have_js_property("naturalWidth", 192)
    await bob.key("Our mark", "r")
    await bob.write("It is nice")
    await expect(alice.message("It is nice").get_by_text("Our mark")).to_be_visible()
    await alice.message("It is nice").hover()
    await alice.message("It is nice").get_by_role("button", name="React").click()
    await alice.page.get_by_role("dialog", name="React").get_by_role("button").first.click()
    await expect(bob.message("It is nice").get_by_role("button", name="by")).to_be_visible()
    await bob.key("It is nice", "e")
    await bob.write("It is lovely")
    await alice.expect_message("It is lovely")
    await expect(alice.message("It is lovely").get_by_text("edited")).to_be_visible()
    await bob.key("It is lovely", "Delete")
    await bob.page.get_by_role("button", name="Delete for everyone").click()
    await expect(alice.message("It is lovely")).to_have_count(0)
    assert await alice.texts() == ["Hello Bob", "Hello Alice", "Our mark"]


async def test_a_terminal_and_a_browser_are_one_person(url: str, profiles: Profiles) -> None:
    for_alice, for_bob = names()
    alice = await person(await profiles(url), for_alice, "Alice")
    async with terminal(url, for_alice) as (sdk, told):
        bob = await person(await profiles(url), for_bob, "Bob")
        await alice.find(for_bob)
        await alice.write("From the browser")
        await bob.open("Alice")
        await bob.expect_message("From the browser")
        await until(lambda: lacks(told, SentElsewhere, "From the browser"), within=10)
        await sdk.send(for_bob, "From the terminal")
        await alice.expect_message("From the terminal")
        await alice.expect_state("From the terminal", "Read")
        await bob.write("To both")
        await alice.expect_message("To both")
        await until(lambda: lacks(told, MessageReceived, "To both"), within=10)
        assert await bob.texts() == ["From the browser", "From the terminal", "To both"]


async def test_what_is_written_without_a_network_goes_when_it_is_back(url: str, profiles: Profiles) -> None:
    async with Proxy(url.removeprefix("http://")) as network:
        alice, bob = await couple(profiles, url, f"http://{network.address}")
        bob.profile.bear_no_network()
        await network.refuse()
        mine, theirs = [f"off {each}" for each in range(5)], [f"on {each}" for each in range(5)]
        for off, on in zip(mine, theirs, strict=True):
            await bob.write(off)
            await alice.write(on)
        await bob.expect_state("off 4", "Sending")
        await alice.expect_state("on 4", "Sent")
        await bob.page.reload()  # the outbox outlives the page
        await bob.expect_state("off 4", "Sending")
        await network.heal()
        await expect(alice.message("off 4")).to_have_count(1, timeout=_BACK_MS)
        await bob.expect_message("on 4")
        for client in (alice, bob):
            texts = await client.texts()
            assert [each for each in texts if each in mine] == mine
            assert [each for each in texts if each in theirs] == theirs


async def test_gateways_and_a_host_die_and_nothing_is_lost_or_doubled(
    system: System, url: str, profiles: Profiles
) -> None:
    alice, bob = await couple(profiles, url)
    for client in (alice, bob):
        client.profile.bear_no_network()
        client.profile.bear("503")
    wanted = [f"number {each}" for each in range(12)]
    async with system.killed("gateway"):
        for text in wanted[:4]:
            await alice.write(text)
    async with system.killed("host"):
        for text in wanted[4:8]:
            await alice.write(text)
    async with system.killed("gateway"):
        for text in wanted[8:]:
            await alice.write(text)
    await expect(bob.message(wanted[-1])).to_have_count(1, timeout=_BACK_MS)
    await alice.expect_state(wanted[-1], "Read")
    for client in (alice, bob):
        assert [each for each in await client.texts() if each in wanted] == wanted


async def test_two_tabs_are_one_device(url: str, profiles: Profiles) -> None:
    alice, bob = await couple(profiles, url)
    second = await Client.opened(alice.profile)
    await second.ready()
    await second.open("Bob")
    await second.write("From the second tab")
    await alice.expect_message("From the second tab")
    await bob.expect_message("From the second tab")
    await alice.page.close()
    await bob.write("Still there?")
    await second.expect_message("Still there?")
    await second.page.reload()
    await second.expect_message("Still there?")
