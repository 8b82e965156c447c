"""The gateway's services for its WebSocket streams."""

import secrets
from collections import Counter, deque
from typing import NamedTuple

import msgspec

from api.host_links import HostLinks
from api.identity.directory import Directory
from api.identity.key_supplies import KeySupplies
from api.identity.limits import Limits
from api.identity.revocation import Revocations
from api.identity.tokens import Principal, Tokens
from api.mailbox.signals import Signals
from api.sending.sender import Sender
from api.stream.presence_subscriptions import PresenceSubscriptions
from roost.clock import Clock
from roost.codes import CODES

_SPREAD_MS = 1_000
_DISPLACED = 50


def _no_ends() -> Counter[str]:
    words = [code.word for code in CODES.values() if code.close is not None]
    return Counter(dict.fromkeys([*words, "other"], 0))


class Displaced(NamedTuple):
    """A stream that a newer one of the same device took over from."""

    principal: Principal
    at_ms: int


def _no_displaced() -> deque[Displaced]:
    return deque(maxlen=_DISPLACED)


class StreamServices(msgspec.Struct, frozen=True):
    """The services of all streams of a gateway.

    Attributes:
        ended: Streams ended by us, by code word; ``other`` for words without a close code of their own.
        displaced: The last streams that others took over from.
    """

    tokens: Tokens
    revocations: Revocations
    limits: Limits
    sender: Sender
    hosts: HostLinks
    directory: Directory
    signals: Signals
    subscriptions: PresenceSubscriptions
    key_supplies: KeySupplies
    clock: Clock
    ended: Counter[str] = msgspec.field(default_factory=_no_ends)
    displaced: deque[Displaced] = msgspec.field(default_factory=_no_displaced)

    def verify(self, token: str) -> Principal:
        """Return who a token speaks for; raises if it is not valid, or its session was ended."""
        principal = self.tokens.verify(token)
        self.revocations.check(principal.family)
        return principal

    def wait(self, limiter: str, principal: Principal, now_ms: int) -> float:
        """Take a token of a local limiter: 0.0, or the seconds to wait."""
        wait_s = self.limits.wait_s(limiter, principal.device, now_ms)
        return self.sender.gate.limit(principal.device, wait_s) if wait_s and limiter == "sends" else wait_s

    def spread(self) -> int:
        """Return a random number of milliseconds, 0-1,000."""
        return secrets.randbelow(_SPREAD_MS)
