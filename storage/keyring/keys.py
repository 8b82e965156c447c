"""The keys of an installation and their lives: rules over times, without files and ciphers.

A key waits until ``not_before_ms``, is then the active one of its purpose until a newer one is, and after
that opens, verifies or accepts what it made, until it is retired: by ``retire_at_ms``, or by hand. So which
key is active follows from the times alone, and processes that hold the same ring agree without talking.
"""

import secrets
from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from typing import Final, Literal, get_args

from msgspec import Struct, structs

KEY_BYTES: Final = 32

Purpose = Literal["storage", "token", "index", "refresh", "link", "vapid"]
"""What a key is for.

storage: seals users' data keys (and sealed fields of releases before there were data keys);
token: signs access tokens (Ed25519; the secret is the seed); index: makes blind indexes;
refresh: derives refresh tokens; link: is what roles prove to each other on their links;
vapid: signs what is sent to services of Web Push (P-256; the secret is the seed).
"""

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)


_LATER: Final[tuple[Purpose, ...]] = ("vapid",)
"""The purposes of which there were no keys at first."""


class State(StrEnum):
    """Where a key is in its life."""

    WAITING = "waiting"
    ACTIVE = "active"
    OLD = "decrypt-only"
    VERIFYING = "verify-only"
    SUBSCRIBED = "old-subscriptions"
    RETIRED = "retired"


_SUPERSEDED: Final[dict[Purpose, State]] = {
    "storage": State.OLD,
    "index": State.OLD,
    "vapid": State.SUBSCRIBED,
}
"""What a key is still for once a newer one is used."""


class RotationRefused(Exception):  # noqa: N818 -- named for what happened
    """The ring does not allow this change now; the sentence says why."""


class Key(Struct, frozen=True):
    """A key.

    Attributes:
        id: Unique in the ring, whatever the purpose; it stands in what the key made.
        purpose: The only thing it is used for.
        secret: 32 bytes; empty once it is retired by hand.
        created_at_ms: When it was made.
        not_before_ms: It makes nothing new before this.
        retire_at_ms: Nothing is accepted from it from this time on; None: until it is retired by hand.
    """

    id: str
    purpose: Purpose
    secret: bytes
    created_at_ms: int
    not_before_ms: int
    retire_at_ms: int | None = None

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    def gone(self, now_ms: int) -> bool:
        """Return whether it is retired."""
        return not self.secret or (self.retire_at_ms is not None and self.retire_at_ms <= now_ms)


class Secrets(Struct, frozen=True):
    """What the file holds, as JSON; binary values in base64. It never changes: a change makes another one.

    Attributes:
        installation: 16 digits, the same for as long as the installation lasts.
        serial: Rises by one with each change.
        keys: All keys, the retired ones too.
        lenient: Whether fields that an earlier release left unsealed are still read; not once everything has
            been re-encrypted: who can write to the store could otherwise put in values of their own.
        version: Layout of this file.
    """

    installation: str
    serial: int
    keys: tuple[Key, ...]
    lenient: bool = False
    version: int = 2

    def __repr__(self) -> str:
        return f"Secrets({self.installation!r}, serial={self.serial})"

    def usable(self, purpose: Purpose, now_ms: int) -> list[Key]:
        """Return the keys that are not retired, also those that still wait, in the order of their turn."""
        found = [key for key in self.keys if key.purpose == purpose and not key.gone(now_ms)]
        return sorted(found, key=lambda key: key.not_before_ms)

    def active(self, purpose: Purpose, now_ms: int) -> Key:
        """Return the key that makes what is new."""
        usable = self.usable(purpose, now_ms)
        # A clock that was set back may be before all of them.
        return next((key for key in reversed(usable) if key.not_before_ms <= now_ms), usable[0])

    def state_of(self, key: Key, now_ms: int) -> State:
        """Return where a key is in its life."""
        if key.gone(now_ms):
            return State.RETIRED
        if key == self.active(key.purpose, now_ms):
            return State.ACTIVE
        if key.not_before_ms > now_ms:
            return State.WAITING
        return _SUPERSEDED.get(key.purpose, State.VERIFYING)

    def completed(self) -> "Secrets":
        """Return the ring with a key of each purpose that a release before had no keys for.

        It is derived from the oldest key: the same on every machine that has a copy of the file.
        """
        oldest = min((key for key in self.keys if key.secret), key=lambda key: (key.created_at_ms, key.id))
        missing = [purpose for purpose in _LATER if not any(key.purpose == purpose for key in self.keys)]
        made = (_derived(purpose, oldest) for purpose in missing)
        return structs.replace(self, keys=(*self.keys, *made)) if missing else self

    def find(self, key_id: str) -> Key | None:
        """Return the key of this id, None if there is none."""
        return next((key for key in self.keys if key.id == key_id), None)

    def rotated(
        self,
        purposes: Iterable[Purpose],
        now_ms: int,
        *,
        in_ms: int = 0,
        kept_ms: dict[Purpose, int] | None = None,
    ) -> "Secrets":
        """Return a ring with a new key for each of these purposes.

        Args:
            purposes: What for.
            now_ms: The time.
            in_ms: How long the new keys wait before they are used: until every process knows them.
            kept_ms: For how long what an old key made is still accepted once the new one is used, by purpose.
                Purposes that are not named here keep their old keys until they are retired by hand.

        Raises:
            RotationRefused: A new key of the purpose is still waiting.
        """
        keys = list(self.keys)
        for purpose in purposes:
            if any(key.not_before_ms > now_ms for key in self.usable(purpose, now_ms)):
                raise RotationRefused(f"A new {purpose} key is waiting for its turn; see: roost keys list.")
            ends = None if kept_ms is None or purpose not in kept_ms else now_ms + in_ms + kept_ms[purpose]
            keys = [
                structs.replace(key, retire_at_ms=ends)
                if key.purpose == purpose and key.retire_at_ms is None and not key.gone(now_ms)
                else key
                for key in keys
            ]
            keys.append(new_key(purpose, now_ms, in_ms))
        return structs.replace(self, keys=tuple(keys), serial=self.serial + 1)

    def retired(self, key_id: str, now_ms: int) -> "Secrets":
        """Return a ring in which this key is gone but for its name.

        Raises:
            RotationRefused: There is no such key, it is in use or waiting, or it is retired already.
        """
        key = self.find(key_id)
        if key is None:
            raise RotationRefused(f"The key ring has no key {key_id!r}; see: roost keys list.")
        if not key.secret:
            raise RotationRefused(f"The key {key_id} is retired already.")
        if not key.gone(now_ms) and self.state_of(key, now_ms) in (State.ACTIVE, State.WAITING):
            state = self.state_of(key, now_ms)
            raise RotationRefused(f"The key {key_id} is {state}; first: roost keys rotate {key.purpose}.")
        gone = structs.replace(key, secret=b"", retire_at_ms=min(key.retire_at_ms or now_ms, now_ms))
        keys = tuple(gone if each.id == key_id else each for each in self.keys)
        return structs.replace(self, keys=keys, serial=self.serial + 1)

    def lacks(self, earlier: "Secrets") -> list[str]:
        """Return the ids of keys of an earlier ring that are missing here, or differ."""
        mine = {key.id: key for key in self.keys}
        return [
            key.id
            for key in earlier.keys
            if (here := mine.get(key.id)) is None
            or here.purpose != key.purpose
            or (here.secret and key.secret and here.secret != key.secret)
            or (here.secret and not key.secret)
        ]


def new_key(purpose: Purpose, now_ms: int, in_ms: int = 0) -> Key:
    """Make a key."""
    key_id = purpose[0] + secrets.token_hex(4)
    return Key(key_id, purpose, secrets.token_bytes(KEY_BYTES), now_ms, now_ms + in_ms)


def _derived(purpose: Purpose, oldest: Key) -> Key:
    secret = blake2b(purpose.encode(), digest_size=KEY_BYTES, key=oldest.secret, person=b"roost later key")
    key_id = purpose[0] + blake2b(secret.digest(), digest_size=4, person=b"roost key id").hexdigest()
    return Key(key_id, purpose, secret.digest(), oldest.created_at_ms, oldest.created_at_ms)


def fresh_secrets(now_ms: int) -> Secrets:
    """Make the secrets of a new installation."""
    keys = tuple(new_key(purpose, now_ms) for purpose in PURPOSES)
    return Secrets(secrets.token_hex(8), 1, keys)


class _OldKey(Struct, frozen=True):
    key: bytes
    id: str
    created_at_ms: int


class _OldTokenKey(Struct, frozen=True):
    kid: str
    seed: bytes
    created_at_ms: int


class FirstLayout(Struct, frozen=True):
    """The file as it was before keys had purposes and times (version 1)."""

    storage: tuple[_OldKey, ...]
    current: str
    tokens: tuple[_OldTokenKey, ...]
    index: bytes
    refresh: bytes
    cluster: bytes
    version: int = 1

    def converted(self) -> Secrets:
        """Return the same secrets in today's layout: the same on every machine that has a copy.

        Raises:
            ValueError: The current storage key, or every token key, is missing.
        """
        storage = sorted(self.storage, key=lambda key: (key.id == self.current, key.created_at_ms))
        if not storage or storage[-1].id != self.current or not self.tokens:
            raise ValueError("a key is missing")
        keys = _in_turn("storage", [(key.id, key.key, key.created_at_ms) for key in storage])
        keys += _in_turn("token", [(key.kid, key.seed, key.created_at_ms) for key in self.tokens])
        made_ms = keys[0].created_at_ms
        others: dict[Purpose, bytes] = {"index": self.index, "refresh": self.refresh, "link": self.cluster}
        for purpose, secret in others.items():
            key_id = purpose[0] + blake2b(secret, digest_size=4, person=b"roost key id").hexdigest()
            keys.append(Key(key_id, purpose, secret, made_ms, made_ms))
        digest = blake2b(b"", digest_size=16, key=self.index, person=b"fingerprint")
        return Secrets(digest.hexdigest()[:16], 1, tuple(keys), lenient=True)


def _in_turn(purpose: Purpose, found: list[tuple[str, bytes, int]]) -> list[Key]:
    """Return the keys with times of which the last is the latest, as their order in the file said."""
    keys: list[Key] = []
    for key_id, secret, created_ms in found:
        turn = max(created_ms, keys[-1].not_before_ms + 1) if keys else created_ms
        keys.append(Key(key_id, purpose, secret, created_ms, turn))
    return keys
