"""The client in one tab, as a person uses it: by what is written on it and read out."""

import re
from pathlib import Path
from typing import Final, Self

from playwright.async_api import FilePayload, Locator, Page, expect

from tests.browser.browsers import Profile

PASSWORD = "correct horse battery staple"
_SENDS: Final = re.compile("^(Send|Save the edit)$")


class Client:
    """One tab.

    Attributes:
        page: It.
        profile: The browser that it is in.
        username: Who uses it, once signed in.
    """

    def __init__(self, profile: Profile, page: Page) -> None:
        self.profile = profile
        self.page = page
        self.username = ""

    @classmethod
    async def opened(cls, profile: Profile) -> Self:
        """Open a tab."""
        return cls(profile, await profile.open())

    async def sign_up(self, username: str, name: str = "") -> None:
        """Make an account, and wait until it is connected."""
        await self.fill_in("Sign up", username)
        if name:
            await self.page.get_by_label("Name (optional)").fill(name)
        await self.page.get_by_role("button", name="Create account").click()
        await self.ready()

    async def sign_in(self, username: str) -> None:
        """Make this browser a further device of an account."""
        await self.fill_in("Sign in", username)
        await self.page.locator("form").get_by_role("button", name="Sign in").click()
        await self.ready()

    async def ready(self) -> None:
        """Wait until the conversations are shown."""
        await self.page.get_by_role("heading", name="Chats").wait_for()

    async def find(self, peer: str) -> None:
        """Open a conversation with someone by the exact username."""
        await self.page.get_by_role("button", name="New conversation").click()
        dialog = self.page.get_by_role("dialog", name="New conversation")
        await dialog.get_by_label("Username").fill(peer)
        await dialog.get_by_role("button", name="Find and open").click()
        await dialog.wait_for(state="hidden")

    async def open(self, name: str) -> None:
        """Open a conversation from the list."""
        await self.row(name).click()

    async def write(self, text: str) -> None:
        """Send a text in the open conversation."""
        await self.composer.fill(text)
        await self.page.get_by_role("button", name=_SENDS).click()

    async def attach(self, file: Path | FilePayload, caption: str) -> None:
        """Send a file with a caption."""
        await self.page.locator("input[type=file]").set_input_files(file)
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("Caption").fill(caption)
        await dialog.get_by_role("button", name="Send", exact=True).click()

    async def settings(self, section: str) -> None:
        """Open a part of the settings."""
        await self.page.goto(f"{self.page.url.partition('#')[0]}#/settings/{section}")

    async def back(self) -> None:
        """Go back to the conversations."""
        await self.page.get_by_role("button", name="Back to the conversations").first.click()

    async def key(self, text: str, key: str) -> None:
        """Press a key on a message."""
        await self.message(text).focus()
        await self.page.keyboard.press(key)

    async def expect_state(self, text: str, words: str) -> None:
        """Wait for the ticks of one's own message to say this."""
        await expect(self.message(text).get_by_title(words)).to_be_attached()

    async def expect_message(self, text: str) -> None:
        """Wait for exactly one message with this text."""
        await expect(self.message(text)).to_have_count(1)

    async def texts(self) -> list[str]:
        """Return the texts of the messages on the screen, in order."""
        return await self.page.locator(".message .bubble .text").all_inner_texts()

    def message(self, text: str) -> Locator:
        """Return the message with this text."""
        return self.page.locator(".message", has_text=text)

    def row(self, name: str) -> Locator:
        """Return someone's row in the list of conversations."""
        return self.page.get_by_role("option", name=name)

    @property
    def composer(self) -> Locator:
        """Where a message is written."""
        return self.page.get_by_role("textbox", name="Message to")

    async def fill_in(self, mode: str, username: str) -> None:
        self.username = username
        await self.page.get_by_role("group", name="Account").get_by_role("button", name=mode).click()
        await self.page.get_by_label("Username").fill(username)
        await self.page.get_by_label("Password", exact=True).fill(PASSWORD)
