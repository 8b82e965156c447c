"""The calls about keys: those of users' devices, and their identities."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from roost.client.transport.http import Api
from roost.cross_signing import PublishedIdentity
from roost.errors import Unavailable
from roost.ids import address_of


class FoundKeys(Struct, frozen=True):
    """The keys of one user, as the server gives them: nothing of it is verified.

    Attributes:
        bundles: ``device_keys`` objects by device.
        identity: The person's identity, if there is one.
    """

    bundles: dict[str, Any]
    identity: PublishedIdentity | None = None


class _KeysFound(Struct):
    device_keys: dict[str, dict[str, Any]]
    failures: dict[str, Any]
    master_keys: dict[str, Any] = field(default_factory=dict)
    self_signing_keys: dict[str, Any] = field(default_factory=dict)


class _Uploaded(Struct):
    failures: dict[str, Any] = field(default_factory=dict)


class KeyCalls:
    """Calls in the name of one device.

    Args:
        api: Authenticated calls.
        server_name: For addresses.
    """

    def __init__(self, api: Api, server_name: str) -> None:
        self._api = api
        self._server_name = server_name

    async def query(self, peers: set[str]) -> dict[str, FoundKeys]:
        """Return the keys of these users by username; a user that is unknown has none."""
        addresses = {address_of(peer, self._server_name): peer for peer in peers}
        body: dict[str, Any] = {"device_keys": {address: [] for address in addresses}}
        found = await self._api.call("POST", "/v1/keys/query", body, shape=_KeysFound)
        if self._server_name in found.failures:
            raise Unavailable(f"{self._server_name} does not take itself for this server.")
        return {peer: _found(found, address) for address, peer in addresses.items()}

    async def upload_identity(
        self,
        master_key: Mapping[str, Any],
        self_signing_key: Mapping[str, Any],
        device_keys: Mapping[str, Any],
        password: str | None = None,
    ) -> None:
        """Publish this person's identity, with the devices that it has signed.

        Raises:
            RoostError: ``identity_exists``: there is another one, and no password was given.
        """
        body: dict[str, Any] = {
            "master_key": master_key,
            "self_signing_key": self_signing_key,
            "device_keys": device_keys,
        }
        if password is not None:
            body["password"] = password
        await self._api.call("POST", "/v1/keys/device_signing/upload", body, shape=_Uploaded)

    async def upload_signatures(self, address: str, device_keys: Mapping[str, Any]) -> None:
        """Publish the identity's signatures under own devices."""
        await self._api.call("POST", "/v1/keys/signatures/upload", {address: device_keys}, shape=_Uploaded)


def _found(found: _KeysFound, address: str) -> FoundKeys:
    master, self_signing = found.master_keys.get(address), found.self_signing_keys.get(address)
    identity = None if master is None or self_signing is None else PublishedIdentity(master, self_signing)
    return FoundKeys(found.device_keys.get(address, {}), identity)
