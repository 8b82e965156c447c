"""The embedded push endpoint, which speaks FCM's HTTP v1 API and shows the pushes instead of sending them.

Run as ``python -m cluster.local.fcm_endpoint --port PORT``. It is a service of Web Push, too
(`cluster.local.webpush_endpoint`). It also answers the token endpoint of the
throwaway service account that ``write_service_account`` makes, and checks what it is handed: a push
without a granted credential gets FCM's 401. It serves processes of its own user (and root's): others on the
machine would read push tokens here.

Error bodies: Source: Firebase, "FCM error codes" and google.rpc.Status.
"""

import argparse
import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster.local import peer_user
from cluster.local.push_record import MODES, Behaviour, Received
from cluster.local.webpush_endpoint import PATH, WebPushEndpoint
from roost.clock import Clock, now_ms
from roost.tls import server_context

PROJECT: Final = "roost-embedded"

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TYPE: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class FcmEndpoint:
    """State of the endpoint: what it received, and how it answers.

    Args:
        clock: Stamps what it receives.
        anyone: Whether it serves every user, and other machines.
    """

    def __init__(self, clock: Clock, *, anyone: bool = False) -> None:
        self._anyone = anyone
        self._known: WeakKeyDictionary[asyncio.BaseTransport, bool] = WeakKeyDictionary()
        self._received, self._behaviour = Received(clock), Behaviour()
        self._webpush = WebPushEndpoint(self._received, self._behaviour, clock)
        self._granted: set[str] = set()

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[] if self._anyone else [self._only_ours])
        app.router.add_post("/token", self._token)
        app.router.add_post("/v1/projects/{project}/messages:send", self._send)
        app.router.add_post(PATH, self._webpush.take)
        app.router.add_get("/pushes", self._list)
        app.router.add_post("/behaviour", self._behave)
        return app

    @web.middleware
    async def _only_ours(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.transport
        if connection is None:
            raise web.HTTPForbidden(text="The connection is gone.")
        if connection not in self._known:
            ends = connection.get_extra_info("peername"), connection.get_extra_info("sockname")
            self._known[connection] = peer_user.is_ours(*ends)
        if not self._known[connection]:
            raise web.HTTPForbidden(text="This endpoint serves the user that runs Roost, on this machine.")
        return await handler(request)

    async def _token(self, request: web.Request) -> web.Response:
        """Grant a credential for a signed assertion (RFC 7523); whose key it is does not matter here."""
        form = await request.post()
        try:
            claims = jwt.decode(str(form["assertion"]), options={"verify_signature": False})
            granted = form["grant_type"] == _GRANT and "iss" in claims
        except (KeyError, jwt.InvalidTokenError):
            granted = False
        if not granted:
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = secrets.token_urlsafe(24)
        self._granted.add(token)
        return web.json_response({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    async def _send(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._granted:
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", None)
        try:
            message = (await request.json())["message"]
            token = str(message["token"])
        except (ValueError, LookupError, TypeError):
            return _error(
                400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "INVALID_ARGUMENT"
            )
        if (refusal := self._refusal()) is not None:
            return refusal
        await self._behaviour.take_time()
        self._received.add(token, message)
        name = f"projects/{request.match_info['project']}/messages/0:{secrets.token_hex(12)}"
        return web.json_response({"name": name})

    def _refusal(self) -> web.Response | None:
        later = self._behaviour.retry_after
        match self._behaviour.mode:
            case "unregistered":
                return _error(404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED")
            case "quota":
                text = "Sending limit exceeded for the message target."
                return _error(429, "RESOURCE_EXHAUSTED", text, "QUOTA_EXCEEDED", later)
            case "unavailable":
                text = "The service is currently unavailable."
                return _error(503, "UNAVAILABLE", text, "UNAVAILABLE", later)
        return None

    async def _list(self, request: web.Request) -> web.Response:
        """Show what came; ``?after=N`` leaves out the first N, for whoever looks again and again."""
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after is a number"}, status=400)
        return web.json_response(self._received.after(int(after)))

    async def _behave(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if wanted.get("mode") not in MODES:
            return web.json_response({"error": f"mode is one of {', '.join(MODES)}"}, status=400)
        self._behaviour.mode, self._behaviour.retry_after_s = wanted["mode"], wanted.get("retry_after_s")
        return web.json_response({"mode": wanted["mode"], "retry_after_s": wanted.get("retry_after_s")})


def _error(
    status: int, word: str, text: str, code: str | None, headers: dict[str, str] | None = None
) -> web.Response:
    details = [{"@type": _TYPE, "errorCode": code}] if code is not None else []
    error = {"code": status, "message": text, "status": word, "details": details}
    return web.json_response({"error": error}, status=status, headers=headers)


def write_service_account(path: Path, base_url: str) -> None:
    """Write a service-account file with a key of its own whose credentials come from this endpoint."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": f"pusher@{PROJECT}.invalid",
        "client_id": "0",
        "token_uri": f"{base_url}/token",
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="An FCM endpoint that shows the pushes it is sent.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="IP address to listen on (127.0.0.1)")
    parser.add_argument("--anyone", action="store_true", help="serve every user and machine that reaches it")
    parser.add_argument("--account", type=Path, help="where to write a service account before it serves")
    parser.add_argument("--certificate", type=Path, help="PEM file of the certificate to show; else no TLS")
    parser.add_argument("--key", type=Path, help="PEM file of its private key")
    arguments = parser.parse_args()
    context = None if arguments.certificate is None else server_context(arguments.certificate, arguments.key)
    if arguments.account is not None:
        scheme = "http" if context is None else "https"
        write_service_account(arguments.account, f"{scheme}://{arguments.host}:{arguments.port}")
    anyone = arguments.anyone or not peer_user.can_be_told()
    app = FcmEndpoint(now_ms, anyone=anyone).app()
    web.run_app(app, host=arguments.host, port=arguments.port, ssl_context=context, print=None)


if __name__ == "__main__":
    main()
