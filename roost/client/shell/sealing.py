"""Encryption of outgoing messages, and the ones that wait for their recipient's keys."""

from roost.client.core.directory import Directory
from roost.client.state import OutboxItem, Profile
from roost.crypto import DeviceSecrets, Heading, seal
from roost.ids import address_of


class Sealer:
    """Seals messages to the recipient's devices.

    Args:
        profile: This device.
        secrets: Its keys.
        directory: The recipients' keys.
    """

    def __init__(self, profile: Profile, secrets: DeviceSecrets, directory: Directory) -> None:
        self._profile = profile
        self._secrets = secrets
        self._directory = directory
        self._address = address_of(profile.username, profile.server_name)
        self._waiting: dict[str, list[OutboxItem]] = {}

    def payloads(self, item: OutboxItem) -> dict[str, bytes]:
        """Seal a message to each current device of its recipient.

        Raises:
            ValueError: A device's key cannot be used.
        """
        recipient = address_of(item.to, self._profile.server_name)
        heading = Heading(self._address, self._profile.device_id, recipient, item.id, item.sent_at_ms)
        devices = self._directory.recipients(item.to)
        return {name: seal(item.content, heading, self._secrets, key) for name, key in devices.items()}

    def wait(self, item: OutboxItem) -> None:
        """Keep a message until its recipient's keys have been asked for."""
        self._waiting.setdefault(item.to, []).append(item)

    def release(self, peer: str) -> list[OutboxItem]:
        """Return the messages that waited for this peer's keys, in order, and forget them."""
        return self._waiting.pop(peer, [])
