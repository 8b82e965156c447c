"""The browser's push service: subscriptions that it would hand out, and pushes that it delivers."""

import asyncio
from typing import Any

from playwright.async_api import Page

from tests.browser.browsers import Profile
from tests.browser_push import Browser

_SUBSCRIBE = """{{
  const subscription = {{
    endpoint: {endpoint!r},
    toJSON: () => ({{endpoint: {endpoint!r}, keys: {keys!r}}}),
    unsubscribe: async () => true,
  }}
  let current = null
  PushManager.prototype.subscribe = async () => (current = subscription)
  PushManager.prototype.getSubscription = async () => current
}}"""

_CLICK = """async peer => {
  await self.registration.showNotification('Someone', {data: {peer}})
  const shown = await self.registration.getNotifications()
  const notification = shown.find(each => each.data?.peer === peer)
  self.dispatchEvent(new NotificationEvent('notificationclick', {notification}))
}"""


async def subscribes(profile: Profile, browser: Browser) -> None:
    """Have a profile's pages get this subscription when they ask for one."""
    script = _SUBSCRIBE.format(endpoint=browser.endpoint, keys=browser.keys)
    await profile.context.add_init_script(script)


async def place(page: Page) -> dict[str, Any]:
    """Return where pushes for the client are delivered in this browser."""
    cdp = await page.context.new_cdp_session(page)
    found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def on_update(event: dict[str, Any]) -> None:
        for each in event["registrations"]:
            if not found.done():
                origin = each["scopeURL"].rstrip("/")
                found.set_result({"origin": origin, "registrationId": each["registrationId"]})

    cdp.on("ServiceWorker.workerRegistrationUpdated", on_update)
    await cdp.send("ServiceWorker.enable")
    return await found


async def push(page: Page, to: dict[str, Any]) -> None:
    """Deliver a push as the browser's push service does, through any page."""
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("ServiceWorker.enable")
    await cdp.send("ServiceWorker.deliverPushMessage", to | {"data": ""})


async def notifications(page: Page) -> list[dict[str, str]]:
    """Return what is shown."""
    shown: list[dict[str, str]] = await page.evaluate(
        """() => navigator.serviceWorker.ready.then(ready => ready.getNotifications()).then(
             all => all.map(({title, body}) => ({title, body})))"""
    )
    return shown


async def notified(page: Page) -> list[dict[str, str]]:
    """Return what is shown, as soon as something is."""
    async with asyncio.timeout(10):
        while not (shown := await notifications(page)):
            await page.wait_for_timeout(20)
    return shown


async def click(profile: Profile, peer: str) -> None:
    """Click on a notification that names this person; the browser lets no page come to the front for it."""
    profile.bear("Not allowed to focus a window")
    (worker,) = profile.context.service_workers
    await worker.evaluate(_CLICK, peer)
