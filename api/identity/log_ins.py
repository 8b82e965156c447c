"""Log-ins: with a password, or with the key of a known device."""

import secrets
from collections.abc import Sequence

import structlog
from msgspec import Struct

from api.identity.cache_invalidation import CacheInvalidation
from api.identity.challenges import Challenges
from api.identity.device_proofs import check_proof, key_of
from api.identity.passwords import Passwords
from api.identity.sessions import Granted, Sessions
from api.identity.tokens import Principal
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT, fold_username
from roost.proofs import challenge_message
from roost.wire import MAX_DEVICES
from storage.account_rows import NO_FLOOR, Device, User
from storage.ports import Store

_DEVICE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DEVICE_LENGTH = 16
"""80 bits: what belongs to a device can be kept by its id alone, and two never meet."""

log = structlog.get_logger(__name__)


class Entrance(Struct, frozen=True):
    """Which device logs in, and how.

    Attributes:
        device_id: A device of the user, None for a new one.
        name: A new device's name.
        signing_key: The device's Ed25519 public key, if it names one.
        signed: Refreshes are to need a signature of the device.
    """

    device_id: str | None = None
    name: str = ""
    signing_key: bytes | None = None
    signed: bool = False


class LogIns:
    """Lets users in.

    Args:
        store: Accounts and devices.
        sessions: Begins and ends sessions.
        passwords: Hashes and compares.
        challenges: What devices sign.
        invalidation: Told of new devices.
        server_name: What challenges are signed for.
        clock: Unix milliseconds.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        passwords: Passwords,
        challenges: Challenges,
        invalidation: CacheInvalidation,
        server_name: str,
        clock: Clock,
    ) -> None:
        self._store, self._sessions, self._passwords = store, sessions, passwords
        self._challenges, self._invalidation = challenges, invalidation
        self._server_name, self._clock = server_name, clock

    async def device_of(self, user: User | None, device_id: str | None) -> Device | None:
        """Return this device of the user, None if there is none. It takes as long if there is no user."""
        if device_id is None:
            return None
        devices = await self._devices_of(user.user_id if user is not None else "")
        return next((device for device in devices if device.device == device_id), None)

    async def with_password(
        self, user: User | None, password: str, entrance: Entrance, address: str
    ) -> Granted:
        """Begin a session; for a known device its earlier one ends.

        Args:
            user: The account, None if there is none by that name (which takes as long to find out).
            password: As given.
            entrance: The device.
            address: The client's.

        Raises:
            RoostError: ``bad_credentials``, ``unknown_device``, ``key_conflict`` (it has another key),
                ``too_large`` (too many devices, which are listed).
        """
        matches = await self._passwords.verify(user.password_hash if user else None, password, address)
        if user is None or not matches:
            raise RoostError("bad_credentials", "The username or password is wrong.")
        await self._keep(user)
        password_hash = await self._renewed_hash(user, password, address)
        if entrance.device_id is None:
            device_id = await self._new_device(user, entrance)
        else:
            device_id = await self._known_device(user, entrance)
        granted = await self._sessions.begin(user, device_id, signed=entrance.signed)
        # Its change ends the sessions that there are: one that begins in the same moment ends itself.
        now = (await self._store.accounts.users_by_id([user.user_id])).get(user.user_id)
        if now is None or now.password_hash != password_hash:
            await self._sessions.end(user.user_id, device_id)
            raise RoostError("bad_credentials", "The password was changed in this moment.")
        return granted

    async def with_device_key(
        self, username: str, user: User | None, entrance: Entrance, nonce: str, signature: str
    ) -> Granted:
        """Begin a session of a known device that has signed a challenge; its earlier one ends.

        Args:
            username: As asked for, folded.
            user: The account, None if there is none by that name.
            entrance: The device.
            nonce: The challenge; whatever comes of it, it is used up.
            signature: Of `roost.proofs.challenge_message`, in base64.

        Raises:
            RoostError: ``bad_credentials``, whatever is wrong; ``revoked`` if its last session did not end by
                itself: then the device needs the password.
        """
        device_id = entrance.device_id or ""
        given = await self._challenges.take(nonce, username, device_id)
        device = await self.device_of(user, device_id)
        message = challenge_message(username, device_id, nonce, self._server_name)
        try:
            check_proof(key_of(device), message, signature)
        except ValueError:
            given = False
        if not given or user is None or device is None:
            raise RoostError(
                "bad_credentials", "This is no answer of this device to a challenge it was given."
            )
        if device.signed_out:
            raise _signed_out()
        await self._sessions.displace(user.user_id, device_id)
        granted = await self._sessions.begin(user, device_id, signed=entrance.signed)
        # Whoever signs the device out ends the sessions that there are: likewise.
        now = await self.device_of(user, device_id)
        if now is None or now.signed_out:
            await self._sessions.end(user.user_id, device_id)
            raise _signed_out()
        return granted

    async def change_password(self, caller: Principal, old: str, new: str, address: str) -> None:
        """Replace the caller's password.

        Raises:
            RoostError: ``bad_credentials`` (the old one is wrong), ``invalid`` (the new one is too common),
                ``revoked`` (there is no such account).
        """
        user = (await self._store.accounts.users_by_id([caller.user])).get(caller.user)
        if user is None:
            raise RoostError("revoked", "This account no longer exists.")
        self._passwords.check_new(new, user.username, "body.new")
        if not await self._passwords.verify(user.password_hash, old, address):
            raise RoostError("bad_credentials", "The old password is wrong.")
        hashed = await self._passwords.hash(new, address)
        if not await self._store.accounts.set_password_hash(user.user_id, hashed, user.password_hash):
            raise RoostError("bad_credentials", "The old password was changed in this moment.")

    async def _keep(self, user: User) -> None:
        """Keep an account that was to be erased: its owner is back.

        Raises:
            RoostError: ``bad_credentials``: it is too late.
        """
        if await self._store.erasures.cancel(user.user_id):
            log.info("erasure_cancelled", user=user.user_id)
        elif await self._store.erasures.get(user.user_id) is not None:
            raise RoostError("bad_credentials", "The username or password is wrong.")

    async def _renewed_hash(self, user: User, password: str, address: str) -> str:
        """Return the hash that is stored, made again if its parameters are not today's."""
        if not self._passwords.is_outdated(user.password_hash):
            return user.password_hash
        again = await self._passwords.hash(password, address)
        renewed = await self._store.accounts.set_password_hash(user.user_id, again, user.password_hash)
        return again if renewed else user.password_hash

    async def _new_device(self, user: User, entrance: Entrance) -> str:
        devices = await self._devices_of(user.user_id)
        if len(devices) >= MAX_DEVICES:
            raise _too_many(devices)
        latest = await self._store.mailboxes.latest(user.user_id, SEQ_LIMIT, 1)
        device_id = "".join(secrets.choice(_DEVICE_ALPHABET) for _ in range(_DEVICE_LENGTH))
        device = Device(
            user.user_id,
            device_id,
            entrance.name,
            self._clock(),
            from_seq=latest[0].seq if latest else 0,
            floor=NO_FLOOR if devices else 0,
            signing_key=entrance.signing_key,
        )
        await self._store.accounts.add_device(device)
        # Nobody can write to more: of log-ins in one moment, each that finds too many takes its own back.
        devices = await self._devices_of(user.user_id)
        if len(devices) > MAX_DEVICES:
            await self._store.accounts.remove_device(user.user_id, device_id)
            await self._invalidation.user_changed(user.user_id)
            raise _too_many([each for each in devices if each.device != device_id])
        await self._invalidation.user_changed(user.user_id)
        return device_id

    async def _devices_of(self, user_id: str) -> list[Device]:
        return (await self._store.accounts.devices_of([user_id])).get(user_id, [])

    async def _known_device(self, user: User, entrance: Entrance) -> str:
        device = await self.device_of(user, entrance.device_id)
        if device is None:
            raise RoostError(
                "unknown_device", "This account has no such device; log in without device_id to add one."
            )
        if entrance.signing_key is not None and not await self._has_key(device, entrance.signing_key):
            raise RoostError(
                "key_conflict", "This device has another Ed25519 key; log in without device_id to add one."
            )
        await self._sessions.displace(user.user_id, device.device)
        await self._store.accounts.sign_in(user.user_id, device.device)
        return device.device

    async def _has_key(self, device: Device, key: bytes) -> bool:
        """Return whether this is the device's key; if it has none yet, it is from now on."""
        known = key_of(device)
        if known is not None:
            return known == key
        return await self._store.accounts.set_signing_key(device.user, device.device, key)


def folded_or_raw(username: str) -> str:
    """Return the one spelling of a username, or as it is what cannot be one: it is no one's, either way."""
    try:
        return fold_username(username)
    except ValueError:
        return username


def _too_many(devices: Sequence[Device]) -> RoostError:
    """Name the devices to who has the password: with it, and the id of one, that one can be removed."""
    return RoostError(
        "too_large",
        f"An account may have at most {MAX_DEVICES} devices: on another one, remove one first.",
        devices=[
            {"device_id": each.device, "name": each.name, "created_at_ms": each.created_at_ms}
            for each in devices
        ],
    )


def _signed_out() -> RoostError:
    return RoostError("revoked", "This device was signed out; log in with the password.")
