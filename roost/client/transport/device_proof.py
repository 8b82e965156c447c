"""Signatures by which this device proves to the server that it is itself: a copied token has none."""

from roost.client.state import Profile
from roost.crypto.keys import DeviceSecrets
from roost.proofs import challenge_message, refresh_message
from roost.wire import unpadded


class DeviceProof:
    """Signs for one device.

    Attributes:
        username: Whose device it is.
        device_id: Its id.
    """

    def __init__(self, profile: Profile) -> None:
        self.username, self.device_id = profile.username, profile.device_id
        self._server_name = profile.server_name
        self._key = DeviceSecrets(profile.curve25519, profile.ed25519).signing_key

    def of_refresh(self, token: str) -> str:
        """Return the signature that a refresh token is used with."""
        return self._sign(refresh_message(token))

    def of_challenge(self, nonce: str) -> str:
        """Return the answer to a challenge."""
        return self._sign(challenge_message(self.username, self.device_id, nonce, self._server_name))

    def _sign(self, message: bytes) -> str:
        return unpadded(self._key.sign(message).signature)
