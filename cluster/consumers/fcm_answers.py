"""The rules for FCM's answers: what each means for a wake-up. Pure.

Source: Firebase, "FCM error codes" and "Scale": retry with exponential back-off and jitter, honour
Retry-After.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from cluster.consumers.provider import Again, PushRefused, Sent, Unregistered, Verdict, retry_after_s

ANDROID_PRIORITIES: Final = {True: "high", False: "normal"}

_OK: Final = 200
UNAUTHENTICATED: Final = 401
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER: Final = 500


class Answer(Struct, frozen=True):
    """What FCM said.

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
    return Answer(status, str(code), retry_after_s(headers), text)


def judge(answer: Answer) -> Verdict:
    """Return what follows from an answer.

    Only ``UNREGISTERED`` in the body is a dead token: a 404 without it is a wrong project or address.
    """
    if answer.status == _OK:
        return Sent()
    if answer.status == _NOT_FOUND and answer.code == "UNREGISTERED":
        return Unregistered()
    reason = f"{answer.status} {answer.code} {answer.text}".strip()
    if answer.status in (0, UNAUTHENTICATED, _TOO_MANY) or answer.status >= _SERVER:
        return Again(answer.retry_after_s, reason)
    return PushRefused(reason)
