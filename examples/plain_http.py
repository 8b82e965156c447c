"""The HTTP API by hand: what the SDK does for one message, call by call.

python examples/plain_http.py [http://127.0.0.1:8080 [SERVER_NAME]]

Left out on purpose: retries, an outbox, pinned keys, the WebSocket. Use `roost.client` for those.
"""

import asyncio
import secrets
import sys
from dataclasses import dataclass
from typing import Any

import aiohttp

from roost.clock import now_ms
from roost.crypto import SUITE, DeviceSecrets, Heading, open_sealed, seal
from roost.crypto.keys import device_keys
from roost.ids import address_of, uuid7
from roost.signing import DeviceKeys, verify_device_keys
from roost.wire import from_base64, unpadded

GIVEN = dict(enumerate(sys.argv))
SERVER = GIVEN.get(1, "http://127.0.0.1:8080")
SERVER_NAME = GIVEN.get(2, "localhost")  # ROOST_SERVER_NAME of the server
NO_CONTENT, FIRST_ERROR = 204, 400


@dataclass
class Person:
    """A signed-in device."""

    username: str
    device_id: str
    token: str
    secrets: DeviceSecrets

    @property
    def address(self) -> str:
        """The name in signed objects."""
        return address_of(self.username, SERVER_NAME)


async def call(
    http: aiohttp.ClientSession, method: str, path: str, body: Any = None, *, token: str = ""
) -> Any:
    """Make one call; a problem document becomes an exception that names its code."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.request(method, path, json=body, headers=headers) as answer:
        content: Any = None if answer.status == NO_CONTENT else await answer.json(content_type=None)
        if answer.status >= FIRST_ERROR:
            raise RuntimeError(f"{answer.status} {content['code']}: {content['detail']}")
        print(f"{method} {path} -> {answer.status}")
        return content


async def sign_up(http: aiohttp.ClientSession, username: str) -> Person:
    """Make an account, log in with a new device, publish its signed keys."""
    password = secrets.token_urlsafe(12)
    await call(http, "POST", "/v1/accounts", {"username": username, "password": password})
    login = {"username": username, "password": password, "device": {"name": "by hand"}}
    session = await call(http, "POST", "/v1/sessions", login)
    keys = DeviceSecrets.from_random(secrets.token_bytes(64))
    person = Person(username, session["device_id"], session["access_token"], keys)
    bundle = device_keys(person.address, person.device_id, keys)
    await call(http, "POST", "/v1/keys/upload", {"device_keys": bundle}, token=person.token)
    return person


async def keys_of(http: aiohttp.ClientSession, asking: Person, address: str) -> dict[str, DeviceKeys]:
    """Return a user's devices; a bundle that is not signed by its own device is an error."""
    found = await call(http, "POST", "/v1/keys/query", {"device_keys": {address: []}}, token=asking.token)
    bundles = found["device_keys"][address]
    return {device: verify_device_keys(bundle, address, device) for device, bundle in bundles.items()}


async def send(http: aiohttp.ClientSession, sender: Person, to: Person, text: str) -> dict[str, Any]:
    """Seal the text to every device of the recipient and hand it over."""
    message_id, at_ms = uuid7(now_ms(), secrets.token_bytes(10)), now_ms()
    heading = Heading(sender.address, sender.device_id, to.address, message_id, at_ms)
    devices = await keys_of(http, sender, to.address)
    payloads = {
        device: unpadded(seal(text.encode(), heading, sender.secrets, keys.curve25519))
        for device, keys in devices.items()
    }
    body = {"id": message_id, "to": to.username, "sent_at_ms": at_ms, "suite": SUITE, "payloads": payloads}
    first = await call(http, "POST", "/v1/messages", body, token=sender.token)
    again = await call(http, "POST", "/v1/messages", body, token=sender.token)
    print(f"the same id again gets the same number: {first['seq'] == again['seq']}")
    return dict(first)


async def receive(http: aiohttp.ClientSession, person: Person) -> str:
    """Wait for a message, open it, and acknowledge it."""
    page = await call(http, "GET", "/v1/sync?wait_s=20", token=person.token)
    entry = next(entry for entry in page["entries"] if entry["type"] == "message")
    sender = address_of(entry["from"], SERVER_NAME)
    keys = (await keys_of(http, person, sender))[entry["from_device"]]
    expected = Heading(sender, entry["from_device"], person.address, entry["id"], entry["sent_at_ms"])
    text = open_sealed(from_base64(entry["payload"]), expected, person.secrets, keys).decode()
    # Only now: what is acknowledged is not sent again.
    await call(http, "POST", "/v1/acks", {"seq": page["cursor"]}, token=person.token)
    return text


async def main() -> None:
    """Tell the story of one message."""
    tail = secrets.token_hex(3)
    async with aiohttp.ClientSession(SERVER, timeout=aiohttp.ClientTimeout(total=60)) as http:
        alice = await sign_up(http, f"alice_{tail}")
        bob = await sign_up(http, f"bob_{tail}")
        accepted = await send(http, alice, bob, "By hand, but sealed")
        print(f"accepted as number {accepted['seq']}")
        print(f"bob reads: {await receive(http, bob)!r}")
        page = await call(http, "GET", "/v1/sync?wait_s=20", token=alice.token)
        receipt = next(entry for entry in page["entries"] if entry["type"] == "receipt")
        print(f"receipt: {receipt['peer']} has everything up to {receipt['delivered_seq']}")
        state = await call(http, "GET", f"/v1/messages/{accepted['id']}?to={bob.username}", token=alice.token)
        print(f"state: {state['state']}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (aiohttp.ClientConnectionError, RuntimeError) as exc:
        sys.exit(f"{SERVER}: {exc}")
