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
        """Seal a message to each current device of its recipient; to oneself, to all but this one.

        Raises:
            ValueError: A device's key cannot be used.
        """
        return self._sealed(item, item.to)

    def copies(self, item: OutboxItem) -> dict[str, bytes] | None:
        """Seal a message to each other device of this user, under the same heading.

        Returns:
            None if there are to be no copies: the message is to these devices itself, or one of them has
            other keys than it had, or is to be confirmed.

        Raises:
            ValueError: A device's key cannot be used.
        """
        me = self._profile.username
        return None if item.to == me or self._directory.in_doubt(me) else self._sealed(item, me)

    def _sealed(self, item: OutboxItem, user: str) -> dict[str, bytes]:
        recipient = address_of(item.to, self._profile.server_name)
        heading = Heading(self._address, self._profile.device_id, recipient, item.id, item.sent_at_ms)
        devices = self._directory.recipients(user)
        if user == self._profile.username:
            devices.pop(self._profile.device_id, None)
        return {name: seal(item.content, heading, self._secrets, key) for name, key in devices.items()}

    def wait(self, item: OutboxItem, user: str) -> None:
        """Keep a message until this user's keys have been asked for."""
        self._waiting.setdefault(user, []).append(item)

    def release(self, user: str) -> list[OutboxItem]:
        """Return the messages that waited for this user's keys, in order, and forget them."""
        return self._waiting.pop(user, [])
