"""The rules for answers of push services: what each means for a wake-up. Pure.

Source: RFC 8030, sections 5 and 7.3; RFC 8292, section 4.2. The services are strangers': no answer makes us
wait for long, try without end, or follow it elsewhere.
"""

from collections.abc import Mapping
from typing import Final

from cluster.consumers.provider import Again, PushRefused, Sent, Unregistered, Verdict, retry_after_s

WAIT_MOST_S: Final = 120.0
"""Longest Retry-After that is heeded: a wake-up that waits holds up the commit of its shard."""

_GONE: Final = (404, 410)
_TOO_MANY: Final = 429
_SERVER: Final = 500
_OF_THE_KEY: Final = (400, 401, 403)
"""Mozilla says 401, Google 403, Apple 400 where a subscription was made with another key."""

_ABOUT: Final = {
    400: "the request is not one that the service takes",
    401: "the service does not take our VAPID key or subject",
    403: "the subscription was made with another VAPID key",
    413: "the push is too large",
}


class KeyRefused(PushRefused, frozen=True):
    """It may be taken with the signature of another VAPID key."""


def judge(status: int, headers: Mapping[str, str], text: str) -> Verdict:
    """Return what follows from an answer.

    Args:
        status: Its status.
        headers: Its headers.
        text: How its body begins.
    """
    if 200 <= status < 300:  # noqa: PLR2004 -- every success
        return Sent()
    if status in _GONE:
        return Unregistered()
    said = f"{status} {text}".strip()
    if status == _TOO_MANY or status >= _SERVER:
        advised_s = retry_after_s(headers)
        return Again(None if advised_s is None else min(advised_s, WAIT_MOST_S), said)
    if 300 <= status < 400:  # noqa: PLR2004 -- every redirection
        return PushRefused(f"{status}: it redirects, which is not followed")
    about = _ABOUT.get(status)
    refused = KeyRefused if status in _OF_THE_KEY else PushRefused
    return refused(f"{said} ({about})" if about else said)
