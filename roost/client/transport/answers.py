"""Answers over HTTP: which are the server's, what they mean, and which redirect is followed.

Only an answer in the contract's form counts as the server's. Everything else comes from something in front
of it (a proxy, an ingress, the login page of a hotel) and says nothing about the session or a message: it is
``NotRoost``, which is tried again.
"""

from typing import Any

import msgspec
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from roost.codes import CODES
from roost.errors import RoostError, Unavailable

_REDIRECTS = range(300, 400)
_FIRST_ERROR = 400
_NO_CONTENT = 204
_TOO_LARGE = 413
_PROBLEM = "application/problem+json"
_LONGEST_ADVICE_S = 3600.0
_MEMBERS = frozenset({"type", "title", "status", "code", "detail", "retry_after_s", "request_id"})

LARGE = 16 * 1024
"""Bytes of a request above which a refusal for its size is believed, whoever answers."""


class NotRoost(Unavailable):
    """Something answered that is no Roost server."""


class Empty(Struct):
    """The shape of an answer without a body (204)."""


class SessionAnswer(Struct):
    """What a log-in and a refresh are answered."""

    access_token: str
    expires_in: int
    refresh_token: str
    user_id: str
    username: str
    device_id: str


class ChallengeAnswer(Struct):
    """What a device is to sign to log in."""

    nonce: str


class _Problem(Struct):
    code: str
    detail: str = ""
    retry_after_s: float | None = None
    missing: list[str] | None = None
    extra: list[str] | None = None


class Answer(Struct):
    """An answer as it came.

    Attributes:
        url: Of the request.
        status: HTTP status.
        headers: Its headers.
        content: Its body.
    """

    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    content: bytes

    def read(self, shape: Any, sent: int, server: str) -> Any:
        """Return what the server says.

        Args:
            shape: Type of the value.
            sent: Bytes of the request's body.
            server: How errors name the server.

        Raises:
            RoostError: It is a problem document, or something in front of the server refuses the size.
            NotRoost: It is not the server's.
        """
        if self.status >= _FIRST_ERROR:
            raise self._problem() or self._foreign(sent, server)
        if self.status in _REDIRECTS or (shape is Empty and self.status != _NO_CONTENT):
            raise self._foreign(sent, server)
        if not self.content and shape in (Any, Empty):
            return None
        try:
            return msgspec.json.decode(self.content, type=shape)
        except ValueError as exc:
            raise self._foreign(sent, server) from exc
        except RecursionError as exc:
            raise RoostError("internal", f"{server} answered with endless brackets.") from exc

    def moved(self, path: str) -> str | None:
        """Return the base address that a redirect of the whole server names; one with TLS stays with TLS."""
        location = self.headers.get("Location")
        if self.status not in _REDIRECTS or location is None:
            return None
        try:
            target = self.url.join(URL(location)).with_query(None).with_fragment(None)
        except ValueError:
            return None
        base = str(target).removesuffix(path)
        downgrade = self.url.scheme == "https" and target.scheme != "https"
        if base == str(target) or downgrade or target.scheme not in ("http", "https"):
            return None
        return base

    def _problem(self) -> RoostError | None:
        """Return the error of a problem document with a code of the registry; ``None``: this is none."""
        if self.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _PROBLEM:
            return None
        try:
            problem = msgspec.json.decode(self.content, type=_Problem)
            members = msgspec.json.decode(self.content, type=dict[str, Any])
        except (ValueError, RecursionError):
            return None
        if problem.code not in CODES:
            return None
        retry = problem.retry_after_s
        error = RoostError(
            problem.code,
            problem.detail or CODES[problem.code].title,
            retry_after_s=None if retry is None else min(max(retry, 0.0), _LONGEST_ADVICE_S),
        )
        error.extra |= {name: value for name, value in members.items() if name not in _MEMBERS}
        return error

    def _foreign(self, sent: int, server: str) -> RoostError:
        said = f"{self.status}, {self.headers.get('Content-Type', 'no content type')}"
        if self.status in _REDIRECTS:
            said = f"a redirect to {self.headers.get('Location', 'nowhere')}"
        if self.status == _TOO_LARGE and sent > LARGE:
            return RoostError("too_large", f"Something before {server} takes no {sent} bytes ({said}).")
        error = NotRoost(f"{server} did not answer like a Roost server ({said}): is this its address?")
        advice = self.headers.get("Retry-After", "")
        error.retry_after_s = min(float(advice), _LONGEST_ADVICE_S) if advice.isdecimal() else None
        return error
