"""This user's account as the server keeps it: profile and settings, devices, blocked users, password."""

from typing import Literal

from msgspec import Struct

from roost.client.transport.answers import Empty
from roost.client.transport.http import Api
from roost.ids import fold_username


class AccountProfile(Struct, frozen=True):
    """Profile and settings.

    Attributes:
        username: The unique name.
        display_name: The name that people see.
        last_seen: Who may know when this user was last online. A contact is whom the user wrote to or
            accepted.
        read_receipts: Tell senders what was read, and be told.
        delivery_receipts: Who is told what was delivered.
        requests: Strangers wait until they are accepted.
        created_at_ms: When the account was made.
    """

    username: str
    display_name: str
    last_seen: Literal["everyone", "contacts", "nobody"]
    read_receipts: bool
    delivery_receipts: Literal["everyone", "contacts"]
    requests: bool
    created_at_ms: int


class Device(Struct, frozen=True):
    """One of the user's devices.

    Attributes:
        device_id: Its id.
        name: As it called itself.
        created_at_ms: When it first signed in.
        has_keys: It can be written to.
        push: It has registered a push token.
        current: It is this one.
    """

    device_id: str
    name: str
    created_at_ms: int
    has_keys: bool
    push: bool
    current: bool


class _Devices(Struct):
    devices: list[Device]


class _Blocks(Struct):
    blocks: list[str]


class UserAccount:
    """Calls about the account.

    Each raises ``RoostError`` for a refusal of the server, and ``Unavailable`` if there is no answer.

    Args:
        api: Authenticated calls.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def profile(self) -> AccountProfile:
        """Return the profile and settings."""
        found: AccountProfile = await self._api.call("GET", "/v1/me", shape=AccountProfile)
        return found

    async def set_profile(
        self,
        *,
        display_name: str | None = None,
        last_seen: Literal["everyone", "contacts", "nobody"] | None = None,
        read_receipts: bool | None = None,
        delivery_receipts: Literal["everyone", "contacts"] | None = None,
        requests: bool | None = None,
    ) -> AccountProfile:
        """Change what is given, and return the whole; see `AccountProfile`.

        Raises:
            RoostError: ``invalid``: the name is too long, or a value is none of those.
        """
        changes = {
            "display_name": display_name,
            "last_seen": last_seen,
            "read_receipts": read_receipts,
            "delivery_receipts": delivery_receipts,
            "requests": requests,
        }
        body = {name: value for name, value in changes.items() if value is not None}
        found: AccountProfile = await self._api.call("PATCH", "/v1/me", body, shape=AccountProfile)
        return found

    async def devices(self) -> list[Device]:
        """Return the user's devices."""
        found: _Devices = await self._api.call("GET", "/v1/devices", shape=_Devices)
        return found.devices

    async def remove_device(self, device_id: str) -> None:
        """Sign a device out for good: its keys and its mailbox position go, and nothing is sealed to it.

        Raises:
            RoostError: ``unknown_device``.
        """
        await self._api.call("DELETE", f"/v1/devices/{_part(device_id)}", shape=Empty)

    async def block(self, peer: str) -> None:
        """Take no messages from ``peer`` from now on; the peer is not told.

        Raises:
            RoostError: ``unknown_user``.
            ValueError: ``peer`` is not a username.
        """
        await self._api.call("PUT", f"/v1/blocks/{fold_username(peer)}", shape=Empty)

    async def unblock(self, peer: str) -> None:
        """Take messages from ``peer`` again; raises as ``block`` does."""
        await self._api.call("DELETE", f"/v1/blocks/{fold_username(peer)}", shape=Empty)

    async def blocks(self) -> list[str]:
        """Return who is blocked."""
        found: _Blocks = await self._api.call("GET", "/v1/blocks", shape=_Blocks)
        return found.blocks

    async def accept(self, peer: str) -> None:
        """Accept the conversation with a stranger, who gets receipts from then on.

        Raises:
            RoostError: ``unknown_user``.
            ValueError: ``peer`` is not a username.
        """
        await self._api.call("PUT", f"/v1/conversations/{fold_username(peer)}/accepted", shape=Empty)

    async def change_password(self, old: str, new: str, *, keep_sessions: bool = False) -> None:
        """Change the user's password; other devices have to sign in with it, unless ``keep_sessions``.

        Raises:
            RoostError: ``bad_credentials``: ``old`` is wrong; ``invalid``: ``new`` is too short or common.
        """
        body = {"old": old, "new": new, "keep_sessions": keep_sessions}
        await self._api.call("PUT", "/v1/me/password", body, shape=Empty)

    async def end_other_sessions(self) -> None:
        """End the sessions of the user's other devices, which have to sign in with the password."""
        await self._api.call("DELETE", "/v1/sessions", shape=Empty)


def _part(text: str) -> str:
    if not text.isalnum():
        raise ValueError("a device id is letters and digits")
    return text
