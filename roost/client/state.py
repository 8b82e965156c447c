"""The saved state of a client: one struct that holds all of it, and is saved as a whole.

Only data lives here. ``core`` changes it, ``keystore`` keeps it.
"""

from msgspec import Struct, field


class OutboxItem(Struct):
    """A message that is not known to be delivered.

    Attributes:
        order: Position in the order of sending, increasing over all peers.
        id: UUIDv7 on the server's clock.
        to: Recipient's username.
        sent_at_ms: Unix milliseconds.
        content: Plaintext; needed again when the recipient's devices change.
        urgent: Whether it may wake the recipient.
        expires_in_s: How long the server should keep trying; ``None``: without limit.
        payloads: Ciphertext by device. Kept, so that a repeat carries the same bytes.
        seq: Number in the recipient's mailbox, once accepted.
        accepted_at_ms: When it was accepted, by the server's clock.
        safe: The server has said that the message is stored: no loss of the log can take it.
        own: Ciphertext by this user's other devices, kept likewise; ``None``: they get no copies.
        silent: It is a control message: no push, not counted as unread.
    """

    order: int
    id: str
    to: str
    sent_at_ms: int
    content: bytes
    urgent: bool = True
    expires_in_s: int | None = None
    payloads: dict[str, bytes] | None = None
    seq: int | None = None
    accepted_at_ms: int = 0
    safe: bool = False
    own: dict[str, bytes] | None = None
    silent: bool = False

    def has_expired(self, now_ms: int) -> bool:
        """Return whether its time is over: from its acceptance on or, before that, from its making."""
        if self.expires_in_s is None:
            return False
        return (self.accepted_at_ms or self.sent_at_ms) + self.expires_in_s * 1000 <= now_ms


class Pin(Struct):
    """A peer's device as first seen, its signature checked.

    Attributes:
        curve25519: Its X25519 key.
        ed25519: Its Ed25519 key.
        current: It is still one of the peer's devices (a removed one's late messages still verify).
        offered: Other keys that the server now gives for this very device, not trusted.
        confirmed: It was there at first sight, its owner's identity has signed it, the user has accepted it,
            or the app does not ask for any of that.
        signed: Its owner's pinned identity has signed it.
    """

    curve25519: bytes
    ed25519: bytes
    current: bool = True
    offered: tuple[bytes, bytes] | None = None
    confirmed: bool = True
    signed: bool = False


class IdentityKeys(Struct, frozen=True):
    """The public keys of a person, their signatures checked.

    Attributes:
        master: 32 bytes: who the person is.
        self_signing: 32 bytes: what the person's devices are signed with.
        generation: Number of the self-signing key; a greater one of the same master key replaces it.
    """

    master: bytes
    self_signing: bytes
    generation: int = 1


class PinnedIdentity(Struct):
    """A person's identity as first seen.

    Attributes:
        keys: The pinned ones; None: there were only such as no known device vouches for.
        verified: The user has compared the safety number.
        offered: Another identity that the server now gives, not trusted.
    """

    keys: IdentityKeys | None = None
    verified: bool = False
    offered: IdentityKeys | None = None


class OwnIdentity(Struct):
    """The private keys of this person, on a device that made them or was linked.

    Attributes:
        master: 32 bytes, an Ed25519 seed; the self-signing key follows from it.
        generation: Number of the self-signing key.
        published: The server has the public halves.
    """

    master: bytes
    generation: int = 1
    published: bool = False


class Tokens(Struct):
    """The session's tokens; times are Unix milliseconds on this machine's clock."""

    access: str = ""
    refresh: str = ""
    expires_at_ms: int = 0
    lifetime_ms: int = 0


class State(Struct):
    """The position of the session with the server.

    Attributes:
        cursor: Everything up to here has been taken by the app. ``None``: never connected.
        order: Last position given to an outbox item.
        outbox: Messages not known to be delivered, by id.
        seen: ``user/device/id`` -> seq of messages that the app has taken, for the id window. Of copies of
            what this user's other devices sent, the user is empty.
        delivered: Delivered watermark per peer, in the peer's mailbox.
        read: Read watermark per peer, likewise.
        reads: This user's own read marks that may not have reached the server.
        clock_offset_ms: Server's clock minus this machine's.
    """

    cursor: int | None = None
    order: int = 0
    outbox: dict[str, OutboxItem] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    clock_offset_ms: int = 0


class Profile(Struct):
    """Everything of one device: identity, private keys, tokens, pins, state.

    Attributes:
        server: Base URL, ``http://host:port``.
        server_name: The part of addresses after the colon.
        username: Folded username.
        user_id: UUID of the user.
        device_id: This device.
        curve25519: Private X25519 key.
        ed25519: Private Ed25519 seed.
        fallback: Private half of the fallback key.
        fallback_before: That of the one before, which may still be in use; empty: there was none.
        published: The server has this device's keys.
        tokens: The session.
        peers: Pinned devices by username, then device id.
        state: The position of the session.
        identities: Pinned identities by username, this user's own among them.
        identity: The private keys of this person; None on a device that is not linked.
    """

    server: str
    server_name: str
    username: str
    user_id: str
    device_id: str
    curve25519: bytes
    ed25519: bytes
    fallback: bytes
    published: bool = False
    fallback_before: bytes = b""
    tokens: Tokens = field(default_factory=Tokens)
    peers: dict[str, dict[str, Pin]] = field(default_factory=dict)
    state: State = field(default_factory=State)
    identities: dict[str, PinnedIdentity] = field(default_factory=dict)
    identity: OwnIdentity | None = None
