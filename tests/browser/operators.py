"""The operators' page in one tab, as an operator uses it; and the views of it on a made system."""

from typing import Final, Self

from playwright.async_api import Locator, Page, expect

from tests.browser.browsers import Profile
from tests.browser.client import PASSWORD
from tests.live.waiting import until

VIEWS: Final = {
    "sign-in": "",
    "overview": "?as=ann",
    "fault": "?as=ann&fault",
    "broken": "?as=ann&breaks",
    "observer": "?as=observer",
    "events": "?as=ann#/events",
    "connections": "?as=ann#/connections",
    "users": "?as=ann#/users",
    "user": "?as=ann#/users/alice",
    "dead": "?as=ann#/dead",
    "role": "?as=ann#/role/host-2",
    "settings": "?as=ann#/settings",
}
"""By name, where each is on the demo's made system."""

SIGNS: Final = {
    "sign-in": "For accounts with the scope",
    "fault": "redis does not respond",
    "broken": "What you see is as of",
    "events": "5 shards again served",
    "connections": "carol",
    "users": "Hottest users",
    "user": "Last pushes",
    "dead": "the cursor is behind the head",
    "role": "What it does right now",
    "settings": "kafka.internal",
}
"""What is on a view once it is complete."""


async def show(page: Page, url: str, name: str) -> None:
    """Open a view of the made system, and wait until it is complete."""
    await page.goto(f"{url}/ops{VIEWS[name]}")
    await page.get_by_text(SIGNS.get(name, "Shards over hosts")).first.wait_for()
    if name != "sign-in":
        await page.get_by_text("chat.example.org").first.wait_for()


class Operator:
    """One tab.

    Attributes:
        page: It.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def opened(cls, profile: Profile, username: str, password: str = PASSWORD) -> Self:
        """Open a tab, and sign in."""
        page = await profile.open("ops")
        await page.get_by_label("Username").fill(username)
        await page.get_by_label("Password", exact=True).fill(password)
        await page.get_by_role("button", name="Sign in").click()
        return cls(page)

    async def view(self, name: str) -> None:
        """Go to a view by its name in the navigation."""
        await self.page.get_by_role("navigation").get_by_role("link", name=name).click()

    async def user(self, username: str) -> None:
        """Go to the page of a user, as from the form."""
        await self.view("Users")
        await self.page.get_by_label("Exact username").fill(username)
        await self.page.get_by_role("button", name="Open", exact=True).click()
        await self.page.get_by_role("heading", name="Devices and sessions").wait_for()

    async def agree(self, act: str, will: str) -> None:
        """Answer the question before an act, which says what will happen."""
        dialog = self.page.get_by_role("dialog")
        await expect(dialog).to_contain_text(will)
        await dialog.get_by_role("button", name=act, exact=True).click()

    async def asks(self, button: str, wanted: Locator) -> None:
        """Have the view ask again until something is there: what is accepted is stored a moment later."""

        async def missing() -> str:
            if await wanted.count():
                return ""
            await self.page.get_by_role("button", name=button).click()
            return f"not there: {wanted}"

        await until(missing, within=20, every=0.2)

    async def done(self, operation: str, within_s: float = 60.0) -> str:
        """Wait until an operation is done, and return what it said."""
        shown = self.page.get_by_role("article", name=operation)
        await expect(shown.get_by_text("done", exact=True)).to_be_visible(timeout=1_000 * within_s)
        said: str = await shown.get_by_role("log").inner_text()
        await shown.get_by_role("button", name="Close").click()
        return said

    def role(self, name: str) -> Locator:
        """Return the box of a role."""
        return self.page.locator(f'svg a[data-role="{name}"]')

    async def roles(self) -> set[str]:
        """Return the names of the roles that are drawn as being there."""
        names: list[str] = await self.page.locator("svg a[data-role]").evaluate_all(
            "boxes => boxes.map(box => box.dataset.role)"
        )
        return set(names)
