"""A server of the contract in one file, in memory, for the SDK's shell: real HTTP, real WebSocket."""

import base64
import itertools
import json
from collections import defaultdict
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from roost import wire
from roost.clock import now_ms
from roost.codes import CODES
from roost.wire import CODECS, MSGPACK

SERVER_NAME = "small.test"


class Mailbox:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.acked = 0
        self.streams: list[tuple[web.WebSocketResponse, wire.Codec]] = []

    def after(self, cursor: int) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["seq"] > cursor]


class SmallServer:
    """Users with one device each; switches make it misbehave."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.devices: dict[str, str] = {}
        self.bundles: dict[str, dict[str, Any]] = defaultdict(dict)
        self.identities: dict[str, dict[str, Any]] = {}
        self.mailboxes: dict[str, Mailbox] = defaultdict(Mailbox)
        self.accepted: dict[tuple[str, str], tuple[str, int]] = {}
        self.tokens: dict[str, str] = {}
        self.counter = itertools.count(1)
        self.expires_in = 600
        self.refreshes = 0
        self.auths = 0
        self.no_streams = False
        self.lose_replies = 0
        self.reads: list[tuple[str, str, int]] = []
        self.push_tokens: dict[str, str] = {}
        self.pushes: list[dict[str, Any]] = []
        self.forgetful = False
        self.ahead_ms = 0
        self.poison = ""
        self.odd: set[str] = set()
        self.queries: list[int] = []
        self.talkative = False

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/accounts", self.account)
        app.router.add_post("/v1/sessions", self.session)
        app.router.add_post("/v1/sessions/refresh", self.refresh)
        app.router.add_post("/v1/keys/upload", self.upload)
        app.router.add_post("/v1/keys/query", self.query)
        app.router.add_post("/v1/keys/device_signing/upload", self.identity)
        app.router.add_post("/v1/keys/signatures/upload", self.sign)
        app.router.add_post("/v1/messages", self.post_message)
        app.router.add_get("/v1/messages/{id}", self.state)
        app.router.add_get("/v1/sync", self.sync)
        app.router.add_post("/v1/acks", self.post_ack)
        app.router.add_post("/v1/reads", self.post_read)
        app.router.add_get("/v1/stream", self.stream)
        app.router.add_put("/v1/devices/current/push", self.push)
        app.router.add_get("/pushes", self.get_pushes)
        return app

    def problem(self, word: str, **extra: Any) -> web.Response:
        code = CODES[word]
        body = {"code": word, "status": code.status, "detail": code.title, **extra}
        return web.json_response(body, status=code.status, content_type="application/problem+json")

    def who(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            text = json.dumps({"code": "unauthenticated", "detail": "no"})
            raise web.HTTPUnauthorized(text=text, content_type="application/problem+json")
        return self.tokens[token]

    def grant(self, user: str) -> dict[str, Any]:
        claims = base64.urlsafe_b64encode(json.dumps({"iss": SERVER_NAME}).encode()).decode().rstrip("=")
        token = f"h.{claims}.{next(self.counter)}"
        self.tokens[token] = user
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.expires_in,
            "refresh_token": f"rr1.{user}",
            "user_id": f"id-{user}",
            "username": user,
            "device_id": self.devices.setdefault(user, f"DEVICE{len(self.devices):04}"),
        }

    async def account(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["username"] in self.users:
            return self.problem("username_taken")
        self.users[body["username"]] = body["password"]
        return web.json_response({"username": body["username"]}, status=201)

    async def session(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.users.get(body["username"]) != body["password"]:
            return self.problem("bad_credentials")
        return web.json_response(self.grant(body["username"]), status=201)

    async def refresh(self, request: web.Request) -> web.Response:
        user = (await request.json())["refresh_token"].removeprefix("rr1.")
        if user not in self.users:
            return self.problem("token_reused")
        self.refreshes += 1
        return web.json_response(self.grant(user))

    async def upload(self, request: web.Request) -> web.Response:
        user = self.who(request)
        self.bundles[user][self.devices[user]] = (await request.json())["device_keys"]
        return web.json_response({"one_time_key_counts": {}})

    async def query(self, request: web.Request) -> web.Response:
        self.who(request)
        asked = (await request.json())["device_keys"]
        self.queries.append(len(asked))
        if any(address[1:].split(":")[0] in self.odd for address in asked):
            return self.problem("internal")
        names = {address: address[1:].split(":")[0] for address in asked}
        known = {address: self.identities[name] for address, name in names.items() if name in self.identities}
        return web.json_response(
            {
                "device_keys": {address: self.bundles[name] for address, name in names.items()},
                "failures": {},
                "master_keys": {address: each["master_key"] for address, each in known.items()},
                "self_signing_keys": {address: each["self_signing_key"] for address, each in known.items()},
            }
        )

    async def identity(self, request: web.Request) -> web.Response:
        user, body = self.who(request), await request.json()
        before = self.identities.get(user)
        if before and before["master_key"] != body["master_key"] and "password" not in body:
            return self.problem("identity_exists")
        self.identities[user] = {name: body[name] for name in ("master_key", "self_signing_key")}
        self.bundles[user] |= body["device_keys"]
        return web.json_response({"failures": {}})

    async def sign(self, request: web.Request) -> web.Response:
        self.bundles[self.who(request)] |= next(iter((await request.json()).values()))
        return web.json_response({"failures": {}})

    async def post_message(self, request: web.Request) -> web.Response:
        user = self.who(request)
        body = await request.json()
        payloads = {device: wire.from_base64(text) for device, text in body["payloads"].items()}
        frame = wire.Send(body["id"], body["to"], body["sent_at_ms"], body["suite"], payloads)
        answer = await self.accept(user, frame)
        if isinstance(answer, wire.Rejected):
            return self.problem(answer.code, missing=answer.missing, extra=answer.extra)
        return web.json_response(msgspec.to_builtins(answer), status=202)

    async def state(self, request: web.Request) -> web.Response:
        found = self.accepted.get((self.devices[self.who(request)], request.match_info["id"]))
        if found is None:
            return self.problem("unknown_message")
        return web.json_response({"id": request.match_info["id"], "seq": found[1], "state": "stored"})

    async def sync(self, request: web.Request) -> web.Response:
        mailbox = self.mailboxes[self.who(request)]
        cursor = int(request.query.get("cursor", mailbox.acked))
        entries = [{**entry} for entry in mailbox.after(cursor)]
        for entry in entries:
            if "payload" in entry:
                entry["payload"] = wire.unpadded(entry["payload"])
        end = entries[-1]["seq"] if entries else cursor
        return web.json_response({"cursor": end, "entries": entries, "more": False, "missed": False})

    async def post_ack(self, request: web.Request) -> web.Response:
        await self.ack(self.who(request), (await request.json())["seq"])
        return web.Response(status=204)

    async def post_read(self, request: web.Request) -> web.Response:
        body = await request.json()
        await self.read(self.who(request), body["peer"], body["seq"])
        return web.Response(status=204)

    async def push(self, request: web.Request) -> web.Response:
        self.push_tokens[self.who(request)] = (await request.json())["token"]
        return web.Response(status=204)

    async def get_pushes(self, _request: web.Request) -> web.Response:
        return web.json_response(self.pushes)

    async def accept(self, user: str, frame: wire.Send) -> wire.Accepted | wire.Rejected:
        device = self.devices[user]
        if frame.to not in self.users:
            return wire.Rejected(frame.id, "unknown_user", "nobody")
        current = set(self.bundles[frame.to])
        if (device, frame.id) in self.accepted and not self.forgetful:
            return wire.Accepted(frame.id, self.accepted[device, frame.id][1], now_ms())
        if current != set(frame.payloads):
            missing, extra = sorted(current - set(frame.payloads)), sorted(set(frame.payloads) - current)
            return wire.Rejected(frame.id, "device_mismatch", "stale", missing=missing, extra=extra)
        entry = {
            "type": "message",
            "id": frame.id,
            "from": user,
            "from_device": device,
            "sent_at_ms": frame.sent_at_ms,
            "accepted_at_ms": now_ms(),
            "suite": frame.suite,
            "payload": frame.payloads[self.devices[frame.to]],
        }
        seq = await self.put(frame.to, entry)
        self.accepted[device, frame.id] = (frame.to, seq)
        return wire.Accepted(frame.id, seq, now_ms())

    async def put(self, user: str, entry: dict[str, Any]) -> int:
        mailbox = self.mailboxes[user]
        prev = mailbox.entries[-1]["seq"] if mailbox.entries else 0
        seq = prev + 3 if prev else 3
        mailbox.entries.append({"seq": seq, "prev": prev, "at_ms": now_ms(), **entry})
        if not mailbox.streams and user in self.push_tokens and entry["type"] == "message":
            data = {"from": entry["from"]} if self.talkative else {"wake": "1"}
            self.pushes.append({"token": self.push_tokens[user], "message": data, "at_ms": now_ms()})
        for socket, codec in list(mailbox.streams):
            await self.write(socket, codec, [mailbox.entries[-1]])
        return seq

    async def write(
        self, socket: web.WebSocketResponse, codec: wire.Codec, entries: list[dict[str, Any]]
    ) -> None:
        raws = [msgspec.Raw(msgspec.msgpack.encode(entry)) for entry in entries]
        await self.frame(socket, codec, wire.Entries(raws))

    async def frame(self, socket: web.WebSocketResponse, codec: wire.Codec, frame: wire.ServerFrame) -> None:
        if not socket.closed:
            data = codec.encode(frame)
            await (socket.send_str(data.decode()) if codec.text else socket.send_bytes(data))

    async def ack(self, user: str, seq: int) -> None:
        mailbox = self.mailboxes[user]
        senders = {
            entry["from"]
            for entry in mailbox.entries
            if mailbox.acked < entry["seq"] <= seq and "from" in entry
        }
        mailbox.acked = max(mailbox.acked, seq)
        for sender in senders:
            await self.receipt(sender, user, seq, 0)

    async def receipt(self, to: str, peer: str, delivered: int, read: int) -> None:
        fields = {"type": "receipt", "peer": peer, "delivered_seq": delivered, "read_seq": read}
        await self.put(to, fields)

    async def read(self, user: str, peer: str, seq: int) -> None:
        self.reads.append((user, peer, seq))
        await self.receipt(peer, user, seq, seq)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self.no_streams:
            return web.Response(status=400)
        socket = web.WebSocketResponse(protocols=(wire.MSGPACK, wire.JSON))
        await socket.prepare(request)
        codec = CODECS[socket.ws_protocol or MSGPACK]
        hello = codec.decode_client(await self._bytes(socket))
        assert isinstance(hello, wire.Hello)
        if hello.token not in self.tokens:
            await socket.close(code=4600)
            return socket
        user = self.tokens[hello.token]
        mailbox = self.mailboxes[user]
        cursor = hello.cursor if hello.cursor is not None else mailbox.acked
        await self.frame(socket, codec, wire.Ready(self.devices[user], cursor, now_ms()))
        if mailbox.after(cursor):
            await self.write(socket, codec, mailbox.after(cursor))
        await self.frame(socket, codec, wire.Drained(cursor, cursor))
        mailbox.streams.append((socket, codec))
        try:
            async for message in socket:
                data = message.data.encode() if isinstance(message.data, str) else message.data
                await self.client_frame(user, socket, codec, codec.decode_client(data))
        finally:
            mailbox.streams.remove((socket, codec))
        return socket

    async def client_frame(
        self, user: str, socket: web.WebSocketResponse, codec: wire.Codec, frame: wire.ClientFrame
    ) -> None:
        match frame:
            case wire.Send(id=message_id) if message_id == self.poison:
                await socket.close(code=1011)
            case wire.Send():
                answer = await self.accept(user, frame)
                if self.lose_replies:
                    self.lose_replies -= 1
                    await socket.close(code=4000)
                else:
                    await self.frame(socket, codec, answer)
            case wire.Ack(seq=seq):
                await self.ack(user, seq)
            case wire.Read(peer=peer, seq=seq):
                await self.read(user, peer, seq)
            case wire.Auth():
                self.auths += 1
            case wire.Ping():
                await self.frame(socket, codec, wire.Pong(now_ms() + self.ahead_ms))

    async def drop(self, user: str, code: int = WSCloseCode.GOING_AWAY) -> None:
        for socket, _ in list(self.mailboxes[user].streams):
            await socket.close(code=code)

    async def _bytes(self, socket: web.WebSocketResponse) -> bytes:
        data = (await socket.receive()).data
        return data.encode() if isinstance(data, str) else data
