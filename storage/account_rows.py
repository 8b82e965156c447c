"""Rows of accounts, devices, keys and sessions, as structs; `schema.md` beside it has their fields."""

from typing import Any, Final, Literal

from msgspec import Struct

SCOPES: Final = ("admin", "observer")
"""What an account may be granted: to act on the cluster, or to look at it."""


class StoredIdentity(Struct, frozen=True):
    """A person's identity, in the shapes of Matrix cross-signing, its signatures checked.

    Attributes:
        master_key: Signed by the device that uploaded it.
        self_signing_key: Signed by the master key.
    """

    master_key: dict[str, Any]
    self_signing_key: dict[str, Any]


class CrossSignature(Struct, array_like=True, frozen=True):
    """The signature of an identity under a device's keys.

    Attributes:
        by: Id of the self-signing key; it counts as long as that is the identity's.
        signature: In base64.
    """

    by: str
    signature: str


class User(Struct, frozen=True):
    """An account. ``phone`` and ``email`` are in the clear here and sealed in the store."""

    user_id: str
    username: str
    password_hash: str
    display_name: str
    created_at_ms: int
    phone: str | None = None
    email: str | None = None
    last_seen: Literal["everyone", "contacts", "nobody"] = "everyone"
    read_receipts: bool = True
    last_seen_ms: int = 0
    scopes: tuple[str, ...] = ()
    delivery_receipts: Literal["everyone", "contacts"] = "everyone"
    requests: bool = False
    identity: StoredIdentity | None = None

    @property
    def tells_strangers(self) -> bool:
        """Whether those who are no contacts learn what was delivered and read."""
        return self.delivery_receipts == "everyone" and not self.requests


NO_FLOOR: Final = -1
"""The floor of a device that was just added."""


class Device(Struct, frozen=True):
    """A device. ``name``, ``push_token`` and ``push_keys`` are in the clear here and sealed in the store.

    Attributes:
        user: Owner's user id.
        device: Device id.
        keys: The signed ``device_keys`` object as uploaded, or None before the upload. Only a
            device with keys can be sent to.
        from_seq: The owner's mailbox position when the device was added: its first cursor.
        floor: No message up to here counts as encrypted for it, beside what ``from_seq`` says; `NO_FLOOR`:
            the messages since then have not been looked at.
        signing_key: Ed25519 public key that it named when it logged in: its refreshes are signed with it, and
            its ``keys`` must have it. None: it named none.
        signed_out: Its last session was ended by someone, and not by time: it needs the password.
        push_token: The provider's name for the app on the device: of FCM a token, of Web Push the endpoint.
        push_keys: What else Web Push needs; see `storage.subscriptions`.
        push_session: The session that the push token goes with.
        push_since_ms: When the push token was registered; no two registrations of a device have the same.
        cross_signature: Of its owner's identity.
    """

    user: str
    device: str
    name: str
    created_at_ms: int
    keys: dict[str, object] | None = None
    push_provider: str | None = None
    push_token: str | None = None
    from_seq: int = 0
    floor: int = 0
    signing_key: bytes | None = None
    signed_out: bool = False
    push_session: str | None = None
    push_since_ms: int = 0
    push_keys: str | None = None
    cross_signature: CrossSignature | None = None


class PushToken(Struct, frozen=True):
    """By what a provider finds a device.

    Attributes:
        provider: ``fcm`` or ``webpush``.
        token: As `Device.push_token`.
        keys: As `Device.push_keys`.
    """

    provider: str
    token: str
    keys: str | None = None


class KeySupply(Struct, frozen=True):
    """What others can still be given of a device's keys.

    Attributes:
        one_time: Unclaimed one-time keys by algorithm.
        unused_fallback: Algorithms whose fallback key was given to no one yet.
    """

    one_time: dict[str, int]
    unused_fallback: tuple[str, ...]


class TokenFamily(Struct, frozen=True):
    """A family of refresh tokens: one log-in of one device. Tokens appear as hashes only.

    Attributes:
        signed: A refresh also needs a signature of the device, so that a copied token is of no use.
        repeated: ``previous`` came again, late.
        repeats: In how many rotations in a row that was so.
    """

    family: str
    user: str
    device: str
    current: bytes
    previous: bytes | None
    created_at_ms: int
    used_at_ms: int
    expires_at_ms: int
    ended_at_ms: int | None = None
    signed: bool = False
    repeated: bool = False
    repeats: int = 0


class Erasure(Struct, frozen=True):
    """An account that is to be erased, is being erased, or was.

    Attributes:
        user: Its user id.
        username: Its username; '' when it is erased.
        state: ``asked``: it may yet be kept. ``erasing``: it is being erased. ``erased``: it is gone.
        asked_at_ms: When that was asked for.
        due_at_ms: When it begins.
        looked_at_ms: When all that was found was deleted last; 0: not yet.
    """

    user: str
    username: str
    state: Literal["asked", "erasing", "erased"]
    asked_at_ms: int
    due_at_ms: int
    looked_at_ms: int = 0
