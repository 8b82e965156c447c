"""The embedded push service of Web Push: it shows the pushes instead of handing them to a browser.

It checks what a service checks: who sends (RFC 8292), for how long it is to be kept (RFC 8030), and that the
content is encrypted (RFC 8188). Of the content it knows no more than any service: it has no key.
"""

import base64
from typing import Any, Final

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.local.push_record import Behaviour, Received
from roost.clock import Clock

PATH: Final = "/webpush/{id}"
BODY_MOST: Final = 4096

_REFUSALS: Final = {"unregistered": 410, "quota": 429, "unavailable": 503}
_SHOWN: Final = ("TTL", "Urgency", "Topic", "Content-Encoding", "Content-Type", "Authorization")
_EXPIRES_MOST_S: Final = 24 * 3600


class WebPushEndpoint:
    """The push service.

    Args:
        received: Where pushes are kept.
        behaviour: How it answers.
        clock: Unix time.
    """

    def __init__(self, received: Received, behaviour: Behaviour, clock: Clock) -> None:
        self._received, self._behaviour, self._clock = received, behaviour, clock

    async def take(self, request: web.Request) -> web.Response:
        """Take a push."""
        body = await request.read()
        wrong = self._wrong(request, body)
        if wrong is not None:
            return web.Response(status=wrong[0], text=wrong[1])
        if (status := _REFUSALS.get(self._behaviour.mode)) is not None:
            return web.Response(status=status, headers=self._behaviour.retry_after)
        await self._behaviour.take_time()
        headers = {name: request.headers[name] for name in _SHOWN if name in request.headers}
        content = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        self._received.add(str(request.url), {"headers": headers, "body": content})
        return web.Response(status=201, headers={"Location": f"{request.url.origin()}/message"})

    def _wrong(self, request: web.Request, body: bytes) -> tuple[int, str] | None:
        """Return status and reason of what a push service does not take."""
        if not request.headers.get("TTL", "").isdecimal():
            return 400, "There is no TTL."
        if len(body) > BODY_MOST:
            return 413, f"A push has at most {BODY_MOST} bytes."
        if body and request.headers.get("Content-Encoding") != "aes128gcm":
            return 400, "The content is not encrypted with aes128gcm."
        try:
            _verify(request.headers.get("Authorization", ""), str(request.url.origin()), self._clock())
        except (jwt.PyJWTError, ValueError, KeyError) as exc:
            return 403, f"The VAPID signature does not hold: {exc}"
        return None


def _verify(authorization: str, origin: str, now_ms: int) -> None:
    """Verify a header ``vapid t=TOKEN, k=KEY``.

    Raises:
        Exception: It does not hold: one of PyJWT's, ValueError or KeyError.
    """
    scheme, _, rest = authorization.partition(" ")
    if scheme != "vapid":
        raise ValueError("it is none")
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    point = base64.urlsafe_b64decode(given["k"] + "=" * (-len(given["k"]) % 4))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims: dict[str, Any] = jwt.decode(
        given["t"], key, ["ES256"], audience=origin, options={"require": ["aud", "exp", "sub"]}
    )
    if claims["exp"] > now_ms / 1000 + _EXPIRES_MOST_S:
        raise ValueError("it is good for more than a day")
