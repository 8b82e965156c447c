"""Browsers on networks that let only a part through."""

from playwright.async_api import expect

from tests.browser.blocked import blocking
from tests.browser.people import Profiles, couple


async def test_a_network_that_blocks_websockets_is_no_hindrance(url: str, profiles: Profiles) -> None:
    async with blocking(url) as (network, behind):
        profile = await profiles(behind)
        profile.bear("WebSocket connection to .* failed")
        alice, bob = await couple(profiles, url, profile)
        notices = bob.page.get_by_role("region", name="Notices")
        await expect(notices.get_by_text("messages take a slower way")).to_be_visible()
        await alice.write("Does it get through?")
        await bob.expect_message("Does it get through?")
        await bob.write("It does")
        await alice.expect_message("It does")
        await bob.expect_state("It does", "Read")
        await alice.expect_state("Does it get through?", "Read")
        assert network.refused
