"""What carries wake-ups to devices: FCM, and the services of Web Push."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from storage.account_rows import Device


class Sent(Struct, frozen=True):
    """The provider took it."""


class Unregistered(Struct, frozen=True):
    """The app is gone from the device: the token that failed is to be forgotten."""

    reason: str = "it is not registered"


class Again(Struct, frozen=True):
    """Try again, not before ``after_s`` if that is given."""

    after_s: float | None = None
    reason: str = ""


class PushRefused(Struct, frozen=True):
    """It will not be taken, however often it is tried."""

    reason: str


Verdict = Sent | Unregistered | Again | PushRefused


class Retries(Struct, frozen=True):
    """How often a wake-up is tried.

    Attributes:
        attempts: At most so often.
        first_s: Upper end of the first pause.
        longest_s: Upper end of every pause of our own choice.
    """

    attempts: int
    first_s: float
    longest_s: float

    def pause_s(self, tried: int, advised_s: float | None, fraction: float) -> float:
        """Return how long to wait before the next try.

        Args:
            tried: Tries so far, at least 1.
            advised_s: The provider's Retry-After: never less than that.
            fraction: Random, 0.0 to 1.0: full jitter, so that many who failed at once do not come back at
                once.
        """
        own: float = min(self.longest_s, self.first_s * 2 ** (tried - 1)) * fraction
        return own if advised_s is None else advised_s + own


class Provider(Protocol):
    """Carries wake-ups to the push services of one kind."""

    @property
    def retries(self) -> Retries:
        """How often one is tried."""
        ...

    async def send(self, device: Device, *, urgent: bool) -> Verdict:
        """Send one wake-up to a device that has a token of this provider.

        It takes bounded time, whatever the service does, and raises nothing for what the service does.
        """
        ...

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        ...


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response advises to wait, None if it names none."""
    header = headers.get("Retry-After", "")
    return float(header) if header.isascii() and header.isdecimal() else None
