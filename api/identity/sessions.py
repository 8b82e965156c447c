"""Sessions: begun, refreshed, ended; and the end of a family whose token was stolen.

A session is a family of refresh tokens. Each token's successor is derived from it, so that a
client whose reply got lost asks again and gets the very same one. A token older than the last
two can only be a copy: the family ends, for the thief and the owner alike. Who copies a token and uses
it in step with its owner looks like a client whose replies get lost, time after time: after a few in a row
the family ends, too. A session can also demand that the device sign each refresh; then a copy is of no use.
"""

import asyncio
import hashlib
import uuid

import structlog
from msgspec import Struct, structs

from api.identity.cache_invalidation import CacheInvalidation
from api.identity.device_proofs import check_proof, key_of
from api.identity.tokens import Principal, Tokens
from roost.clock import Clock
from roost.errors import RoostError
from roost.proofs import refresh_message
from storage.account_rows import TokenFamily, User
from storage.keyring import KeyRing, first_refresh
from storage.ports import Store

_LATE_MS = 10_000
"""A token that comes again sooner than this after its use was sent twice at once, as by two tabs."""

_LATE_IN_A_ROW = 3
"""Rotations of which each reply got lost, it seems: a network that does that carries nothing else either."""

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
    invalidation: CacheInvalidation
    clock: Clock
    refresh_ttl_ms: int


class Sessions:
    """Begins, prolongs and ends sessions."""

    def __init__(self, parts: SessionCollaborators) -> None:
        self._parts = parts
        self._store = parts.store

    async def begin(self, user: User, device_id: str, *, signed: bool) -> Granted:
        """Begin a session of a device; with ``signed`` its refreshes need a signature."""
        family, now = str(uuid.uuid4()), self._parts.clock()
        token = first_refresh(family)
        expires = now + self._parts.refresh_ttl_ms
        await self._store.sessions.add(
            TokenFamily(family, user.user_id, device_id, _hash(token), None, now, now, expires, signed=signed)
        )
        return self._granted(user, device_id, family, token)

    async def refresh(self, token: str, signature: str | None = None) -> Granted:
        """Give the next tokens.

        Args:
            token: The current refresh token, or the one before while the current one is unused.
            signature: The device's, in base64. A session that was once refreshed with one always needs one.

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
        session = await self._checked_signature(session, token, signature)
        given, now = _hash(token), self._parts.clock()
        if given == session.current and not await self._store.sessions.rotate(
            session, _hash(following), now, now + self._parts.refresh_ttl_ms
        ):
            session = await self._living(token)  # another request used it in the same moment
        elif given == session.current:
            return await self._grant(session, following)
        if given == session.previous and (same := self._given_before(token, session)) is not None:
            if not session.signed and await self._is_used_in_step(session, now):
                raise await self._reused(session, "beside its owner")
            return await self._grant(session, same)
        raise await self._reused(session, "already")

    async def end(self, user: str, device: str | None, *, keep: Principal | None = None) -> None:
        """End sessions because someone wants it: their devices need the password to come back.

        Args:
            user: Whose.
            device: Of this device, of all if None.
            keep: A session that goes on.
        """
        await self._store.accounts.sign_out(user, device, keep.device if keep is not None else None)
        await self._end(user, device, keep.family if keep is not None else "")

    async def displace(self, user: str, device: str) -> None:
        """End the sessions of a device that logs in."""
        await self._end(user, device, "")

    async def _end(self, user: str, device: str | None, keep: str) -> None:
        """End sessions with their push tokens, here and on every gateway."""
        families = await self._store.sessions.end(user, device, self._parts.clock(), keep)
        await asyncio.gather(*map(self._parts.invalidation.session_ended, families))
        if await self._store.push_tokens.end(user, families):
            await self._parts.invalidation.user_changed(user)

    async def _is_used_in_step(self, session: TokenFamily, now_ms: int) -> bool:
        """Return whether the token of each of the last rotations came again, late; note that this one did."""
        if session.repeated or now_ms - session.used_at_ms < _LATE_MS:
            return False
        await self._store.sessions.repeat(session.family, session.current)
        return session.repeats + 1 >= _LATE_IN_A_ROW

    async def _reused(self, session: TokenFamily, how: str) -> RoostError:
        log.warning("refresh_token_reused", family=session.family, user=session.user, how=how)
        await self.end(session.user, session.device)
        return RoostError(
            "token_reused", f"This refresh token was {how} used, so the session was ended; log in again."
        )

    def _given_before(self, token: str, session: TokenFamily) -> str | None:
        """Return the session's current token if it was derived from this one, with any key of the ring."""
        derived = self._parts.keyring.derived_refreshes(token)
        return next((each for each in derived if _hash(each) == session.current), None)

    async def _living(self, token: str) -> TokenFamily:
        session = await self._store.sessions.get(token.split(".")[1])
        if session is None:
            raise RoostError("unauthenticated", "This refresh token is not known to the server.")
        if session.ended_at_ms is not None:
            raise RoostError("revoked", "The session has ended; log in again.")
        if session.expires_at_ms <= self._parts.clock():
            raise RoostError("unauthenticated", "The refresh token has expired; log in again.")
        return session

    async def _checked_signature(
        self, session: TokenFamily, token: str, signature: str | None
    ) -> TokenFamily:
        """Check that the device itself asks, if it must or says so: a token can be copied without its key."""
        if signature is None and not session.signed:
            return session
        devices = (await self._store.accounts.devices_of([session.user])).get(session.user, [])
        key = key_of(next((each for each in devices if each.device == session.device), None))
        try:
            if signature is None:
                raise ValueError("there is none")  # noqa: TRY301 -- one sentence for all that can be wrong
            check_proof(key, refresh_message(token), signature)
        except ValueError as exc:
            if not session.signed:
                return session
            raise RoostError(
                "invalid_signature", f"This session is refreshed with a signature of its device: {exc}."
            ) from exc
        return structs.replace(session, signed=True)

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
