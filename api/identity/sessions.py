"""Sessions: log-in, refresh, log-out, and the end of a family whose token was stolen.

A session is a family of refresh tokens. Each token's successor is derived from it, so that a
client whose reply got lost asks again and gets the very same one. A token older than the last
two can only be a copy: the family ends, for the thief and the owner alike. Who copies a token and uses
it in step with its owner looks like a client whose replies get lost: against that a session can demand
that the device sign each refresh.
"""

import hashlib
import secrets
import uuid

import structlog
from msgspec import Struct

from api.identity.cache_invalidation import CacheInvalidation
from api.identity.key_validation import signing_key_of
from api.identity.passwords import Passwords
from api.identity.tokens import Principal, Tokens
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT
from roost.signing import verify_bytes
from roost.wire import MAX_DEVICES, from_base64
from storage.keyring import KeyRing, first_refresh
from storage.ports import Store
from storage.records import NO_FLOOR, Device, TokenFamily, User

_DEVICE_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DEVICE_LENGTH = 16
"""80 bits: what belongs to a device can be kept by its id alone, and two never meet."""

_SIGNED = b"roost.refresh.v1\x00"

log = structlog.get_logger(__name__)


class Granted(Struct, frozen=True):
    """What a log-in or refresh gives."""

    access_token: str
    expires_in: int
    refresh_token: str
    principal: Principal


class SessionCollaborators(Struct, frozen=True):
    """What sessions need."""

    store: Store
    keyring: KeyRing
    tokens: Tokens
    passwords: Passwords
    invalidation: CacheInvalidation
    clock: Clock
    refresh_ttl_ms: int


class Sessions:
    """Begins, prolongs and ends sessions."""

    def __init__(self, parts: SessionCollaborators) -> None:
        self._parts = parts
        self._store = parts.store

    async def log_in(
        self,
        user: User | None,
        password: str,
        device_id: str | None,
        name: str,
        address: str,
        *,
        signed: bool = False,
    ) -> Granted:
        """Begin a session; for a known device its earlier one ends.

        Args:
            user: The account, None if there is none by that name (which takes as long to find out).
            password: As given.
            device_id: A device of the user, None for a new one.
            name: A new device's name.
            address: The client's.
            signed: Refreshes are to need a signature of the device.

        Raises:
            RoostError: ``bad_credentials``, ``unknown_device``, ``too_large`` (too many devices).
        """
        matches = await self._parts.passwords.verify(user.password_hash if user else None, password, address)
        if user is None or not matches:
            raise RoostError("bad_credentials", "The username or password is wrong.")
        await self._keep(user)
        if self._parts.passwords.is_outdated(user.password_hash):
            await self._store.accounts.set_password_hash(
                user.user_id, await self._parts.passwords.hash(password, address)
            )
        if device_id is None:
            device_id = await self._new_device(user, name)
        else:
            await self._known_device(user, device_id)
        return await self._begin(user, device_id, signed=signed)

    async def _keep(self, user: User) -> None:
        """Keep an account that was to be erased: its owner is back.

        Raises:
            RoostError: ``bad_credentials``: it is too late.
        """
        if await self._store.erasures.cancel(user.user_id):
            log.info("erasure_cancelled", user=user.user_id)
        elif await self._store.erasures.get(user.user_id) is not None:
            raise RoostError("bad_credentials", "The username or password is wrong.")

    async def is_known(self, user: User | None, device_id: str | None) -> bool:
        """Return whether this is a device of the user. It takes as long if there is no such user."""
        if device_id is None:
            return False
        owner = user.user_id if user is not None else ""
        devices = (await self._store.accounts.devices_of([owner])).get(owner, [])
        return any(device.device == device_id for device in devices)

    async def refresh(self, token: str, signature: str | None = None) -> Granted:
        """Give the next tokens.

        Args:
            token: The current refresh token, or the one before while the current one is unused.
            signature: The device's, in base64.

        Raises:
            RoostError: ``unauthenticated`` for what was never a token, ``revoked`` for an ended session,
                ``invalid_signature`` where the session wants one, ``token_reused`` for an old one, which
                ends the session.
        """
        try:
            following = self._parts.keyring.derive_refresh(token)
        except ValueError as exc:
            raise RoostError("unauthenticated", "This is not a refresh token.") from exc
        session = await self._living(token)
        if session.signed:
            await self._check_signature(session, token, signature)
        given, now = _hash(token), self._parts.clock()
        if given == session.current and not await self._store.sessions.rotate(
            session.family, given, _hash(following), now, now + self._parts.refresh_ttl_ms
        ):
            session = await self._living(token)  # another request used it in the same moment
        elif given == session.current:
            return await self._grant(session, following)
        if given == session.previous and session.current == _hash(following):
            return await self._grant(session, following)
        log.warning("refresh_token_reused", family=session.family, user=session.user)
        await self.end(session.user, session.device)
        raise RoostError(
            "token_reused", "This refresh token was already used, so the session was ended; log in again."
        )

    async def end(self, user: str, device: str | None) -> None:
        """End the sessions of a device (of all devices if None), here and on every gateway."""
        for family in await self._store.sessions.end(user, device, self._parts.clock()):
            await self._parts.invalidation.session_ended(family)

    async def _living(self, token: str) -> TokenFamily:
        session = await self._store.sessions.get(token.split(".")[1])
        if session is None:
            raise RoostError("unauthenticated", "This refresh token is not known to the server.")
        if session.ended_at_ms is not None:
            raise RoostError("revoked", "The session has ended; log in again.")
        if session.expires_at_ms <= self._parts.clock():
            raise RoostError("unauthenticated", "The refresh token has expired; log in again.")
        return session

    async def _new_device(self, user: User, name: str) -> str:
        devices = (await self._store.accounts.devices_of([user.user_id])).get(user.user_id, [])
        if len(devices) >= MAX_DEVICES:
            raise RoostError(
                "too_large", f"An account may have at most {MAX_DEVICES} devices; remove one first."
            )
        latest = await self._store.mailboxes.latest(user.user_id, SEQ_LIMIT, 1)
        device_id = "".join(secrets.choice(_DEVICE_ALPHABET) for _ in range(_DEVICE_LENGTH))
        from_seq = latest[0].seq if latest else 0
        now, floor = self._parts.clock(), NO_FLOOR if devices else 0
        device = Device(user.user_id, device_id, name, now, from_seq=from_seq, floor=floor)
        await self._store.accounts.add_device(device)
        await self._parts.invalidation.user_changed(user.user_id)
        return device_id

    async def _known_device(self, user: User, device_id: str) -> None:
        if not await self.is_known(user, device_id):
            raise RoostError(
                "unknown_device", "This account has no such device; log in without device_id to add one."
            )
        await self.end(user.user_id, device_id)

    async def _check_signature(self, session: TokenFamily, token: str, signature: str | None) -> None:
        """Check that the device itself asks: a token can be copied without the device's key."""
        devices = (await self._store.accounts.devices_of([session.user])).get(session.user, [])
        keys = next((each.keys for each in devices if each.device == session.device), None)
        wanted = "This session is refreshed with a signature of its device"
        if keys is None or signature is None:
            why = "there is none" if signature is None else "the device has uploaded no keys"
            raise RoostError("invalid_signature", f"{wanted}: {why}.")
        try:
            signed = _SIGNED + token.encode()
            verify_bytes(signed, from_base64(signature), signing_key_of(keys, session.device))
        except ValueError as exc:
            raise RoostError("invalid_signature", f"{wanted}: {exc}.") from exc

    async def _begin(self, user: User, device_id: str, *, signed: bool) -> Granted:
        family, now = str(uuid.uuid4()), self._parts.clock()
        token = first_refresh(family)
        expires = now + self._parts.refresh_ttl_ms
        await self._store.sessions.add(
            TokenFamily(family, user.user_id, device_id, _hash(token), None, now, now, expires, signed=signed)
        )
        return self._granted(user, device_id, family, token)

    async def _grant(self, session: TokenFamily, token: str) -> Granted:
        user = (await self._store.accounts.users_by_id([session.user])).get(session.user)
        if user is None:
            raise RoostError("revoked", "This account no longer exists.")
        return self._granted(user, session.device, session.family, token)

    def _granted(self, user: User, device: str, family: str, refresh_token: str) -> Granted:
        ttl_s = self._parts.tokens.ttl_s
        expires = self._parts.clock() + ttl_s * 1000
        principal = Principal(user.user_id, user.username, device, family, expires, user.scopes)
        return Granted(self._parts.tokens.issue(principal), ttl_s, refresh_token, principal)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
