"""This person's own identity: made by the first device, and published with the devices that it signs.

An account without one (of a release before, or a new one) gets it from the first device that comes: who that
is, peers take on trust, as they took its device keys.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from roost.client.core.directory import Directory
from roost.client.state import IdentityKeys, OwnIdentity, Profile
from roost.client.transport.keys import KeyCalls
from roost.cross_signing import Identity, verify_identity
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import DeviceSecrets, device_keys
from roost.errors import RoostError
from roost.ids import address_of

_EXISTS = "identity_exists"


class NotLinked(ValueError):  # noqa: N818 -- a state of this device
    """This device does not have the person's identity: it has to be linked by one that does."""


class OwnIdentityKeeper:
    """Makes, publishes and signs with this person's identity.

    Args:
        profile: What the client keeps; changed in place.
        directory: Where the identity is pinned, like those of peers.
        calls: How to publish.
        save: Keeps the profile.
        random: Source of random bytes.
    """

    def __init__(
        self,
        profile: Profile,
        directory: Directory,
        calls: KeyCalls,
        save: Callable[[], Awaitable[None] | None],
        random: Callable[[int], bytes],
    ) -> None:
        self._profile, self._directory, self._calls = profile, directory, calls
        self._save, self._random = save, random
        self._address = address_of(profile.username, profile.server_name)

    @property
    def due(self) -> bool:
        """Whether this device may have to make an identity, or to publish the one that it made."""
        own = self._profile.identity
        if own is not None:
            return not own.published
        return self._directory.identities.keys(self._profile.username) is None

    @property
    def is_linked(self) -> bool:
        """Whether this device has the private keys."""
        try:
            return bool(self.secrets)
        except NotLinked:
            return False

    @property
    def secrets(self) -> IdentitySecrets:
        """The private keys.

        Raises:
            NotLinked: This device does not have them.
        """
        own, pinned = self._profile.identity, self._directory.identities.keys(self._profile.username)
        if own is None:
            raise NotLinked("this device is not linked: it has no part in your identity yet")
        if pinned is None:
            return IdentitySecrets(own.master, own.generation)
        # Another own device may have replaced the self-signing key, or the whole identity, since.
        found = IdentitySecrets(own.master, pinned.generation)
        if found.public.master != pinned.master:
            raise NotLinked("your identity was replaced by another device: link this one again")
        return found

    async def ensure(self) -> None:
        """Make an identity if the person has none, and publish it if that was not done; a repeat is harmless.

        Raises:
            RoostError: The server did not take it.
        """
        if not self.due:
            return
        if self._profile.identity is None:
            found = (await self._calls.query({self._profile.username}))[self._profile.username]
            if found.identity is not None:
                self._pin(
                    verify_identity(found.identity.master_key, found.identity.self_signing_key, self._address)
                )
                self._save()
                return
            self._profile.identity = OwnIdentity(self._random(32))
            # Kept before it is published: peers must never pin one whose private half is lost.
            if (kept := self._save()) is not None:
                await kept
        try:
            await self.publish()
        except RoostError as exc:
            if exc.code.word != _EXISTS:
                raise
            # Another device was first: this one is as any that has to be linked.
            self._profile.identity = None
            await self.ensure()

    async def replace(self, password: str) -> None:
        """Make another identity: peers are told, and take nobody's word for it.

        The other devices of this user are not signed by it: they have to be linked again.

        Raises:
            RoostError: ``bad_credentials``.
        """
        made = IdentitySecrets(self._random(32))
        await self._upload(made, {}, password)
        self.adopt(made)

    async def publish(self) -> None:
        """Publish the identity that this device has, with its own keys signed."""
        await self._upload(self.secrets, {})
        self.adopt(self.secrets)

    async def renew(self, bundles: dict[str, Any]) -> None:
        """Replace the self-signing key; what it has signed and is not among these is signed no longer.

        Args:
            bundles: The ``device_keys`` of own other devices that stay.
        """
        before = self.secrets
        made = IdentitySecrets(before.master, before.generation + 1)
        await self._upload(
            made, {name: made.sign_device(each, self._address) for name, each in bundles.items()}
        )
        self.adopt(made)

    async def sign(self, device: str, bundle: dict[str, Any]) -> None:
        """Sign another device of this user, and publish the signature."""
        await self._calls.upload_signatures(
            self._address, {device: self.secrets.sign_device(bundle, self._address)}
        )

    def adopt(self, secrets: IdentitySecrets) -> None:
        """Keep this identity as this person's own; it is published."""
        pinned = self._directory.identities.keys(self._profile.username)
        if pinned is not None and pinned.master == secrets.public.master:
            secrets = IdentitySecrets(secrets.master, max(secrets.generation, pinned.generation))
        self._profile.identity = OwnIdentity(secrets.master, secrets.generation, published=True)
        self._pin(secrets.public, verified=True)
        self._directory.confirm(self._profile.username, self._profile.device_id)
        self._save()

    def _pin(self, public: Identity, *, verified: bool = False) -> None:
        keys = IdentityKeys(public.master, public.self_signing, public.generation)
        self._directory.identities.pin(self._profile.username, keys, verified=verified)

    async def _upload(
        self, made: IdentitySecrets, others: dict[str, Any], password: str | None = None
    ) -> None:
        profile, address = self._profile, self._address
        device = DeviceSecrets(profile.curve25519, profile.ed25519)
        own = made.sign_device(device_keys(address, profile.device_id, device), address)
        await self._calls.upload_identity(
            made.master_key(address, profile.device_id, device),
            made.self_signing_key(address),
            {**others, profile.device_id: own},
            password,
        )
