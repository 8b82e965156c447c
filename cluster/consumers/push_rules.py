"""The rules for a provider's answers: what each means for a wake-up, and when to try again. Pure.

Source: Firebase, "FCM error codes" and "Scale": retry with exponential back-off and jitter, honour
Retry-After.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

ANDROID_PRIORITIES: Final = {True: "high", False: "normal"}

_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER: Final = 500


class Answer(Struct, frozen=True):
    """What the provider said.

    Attributes:
        status: HTTP status, 0 if there was no answer.
        code: FCM's ``errorCode``, '' if there is none.
        retry_after_s: Its advice, None if there is none.
        text: For people.
    """

    status: int
    code: str = ""
    retry_after_s: float | None = None
    text: str = ""


class Sent(Struct, frozen=True):
    """The provider took it."""


class Unregistered(Struct, frozen=True):
    """The app is gone from the device: the token that failed is to be forgotten."""


class Again(Struct, frozen=True):
    """Try again, not before ``after_s`` if that is given; ``renew`` the credential first."""

    after_s: float | None = None
    renew: bool = False


class PushRefused(Struct, frozen=True):
    """It will not be taken, however often it is tried."""

    reason: str


Verdict = Sent | Unregistered | Again | PushRefused


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read FCM's HTTP v1 answer; a body that is not FCM's counts as having no code."""
    if status == _OK:
        return Answer(status)
    try:
        error: Any = msgspec.json.decode(body)["error"]
        text = str(error.get("message", ""))
        code = next((d["errorCode"] for d in error.get("details", ()) if "errorCode" in d), "")
    except (ValueError, LookupError, TypeError, AttributeError):
        text, code = body[:200].decode(errors="replace"), ""
    return Answer(status, str(code), _seconds(headers.get("Retry-After")), text)


def judge(answer: Answer) -> Verdict:
    """Return what follows from an answer.

    Only ``UNREGISTERED`` in the body is a dead token: a 404 without it is a wrong project or address.
    """
    if answer.status == _OK:
        return Sent()
    if answer.status == _NOT_FOUND and answer.code == "UNREGISTERED":
        return Unregistered()
    if answer.status == _UNAUTHENTICATED:
        return Again(answer.retry_after_s, renew=True)
    if answer.status in (0, _TOO_MANY) or answer.status >= _SERVER:
        return Again(answer.retry_after_s)
    return PushRefused(f"{answer.status} {answer.code} {answer.text}".strip())


def pause_s(tried: int, first_s: float, longest_s: float, advised_s: float | None, fraction: float) -> float:
    """Return how long to wait before the next try.

    Args:
        tried: Tries so far, at least 1.
        first_s: Upper end of the first pause.
        longest_s: Upper end of every pause of our own choice.
        advised_s: The provider's Retry-After: never less than that.
        fraction: Random, 0.0 to 1.0: full jitter, so that many who failed at once do not come back at once.
    """
    own: float = min(longest_s, first_s * 2 ** (tried - 1)) * fraction
    return own if advised_s is None else advised_s + own


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
