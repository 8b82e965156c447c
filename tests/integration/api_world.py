"""A gateway, a host and a router in this process, on real servers, and people who use them."""

import base64
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import aiohttp
from nacl.signing import SigningKey

from actors.host import ActorHost, HostSettings, Stores
from actors.rpc.connections import Connections
from api.collaborators import ApiSettings, Backends
from api.control_plane import ControlPlane, NoControlPlane
from api.gateway import Gateway
from api.identity.limits import Limit
from api.listener import Listen
from api.sending.admission import Bounds
from cluster.consumers.router import Router
from cluster.local.servers import Server, free_port, start
from cluster.local.specs import kfake
from roost import wire
from roost.clock import now_ms
from roost.ids import uuid7
from roost.signing import canonical_json
from storage.blobs import BlobStore, Quota, StoredObjects
from storage.cluster_rows import LogState
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing, fresh_secrets
from storage.mongo.store import MongoStore
from storage.redis.store import RedisStore
from storage.shard_map import ShardMap
from tests.buckets.places import Open
from tests.live.waiting import until_found

SHARDS = 4
SERVER_NAME = "example.org"

PATIENT = Bounds(accept_s=30.0, queue_s=30.0, deliver_s=30.0)
"""A machine on which much else runs is no load; who tests what is refused under load sets other bounds."""

PASSWORD = "correct horse battery"
QUOTA = Quota(
    file_bytes=20_000_000,
    user_bytes=50_000_000,
    user_files=1_000,
    day_bytes=500_000_000,
    day_files=1_000,
    keep_ms=3_600_000,
    unfinished_ms=600_000,
)


def media_of(store: MongoStore, objects: StoredObjects | None = None) -> BlobStore:
    """Return a store of media, in a folder of its own unless another place is given."""
    return BlobStore(store.blobs, objects or a_folder()(), QUOTA, now_ms)


def a_folder() -> Open:
    """Return what opens a folder of its own for files."""
    folder = Path(mkdtemp()).as_uri()
    return lambda: StoredObjects(folder)


@dataclass
class Urls:
    mongo: str
    redis: str
    hosts_mongo: str = ""
    """Where the host finds the store, if not where the other roles do."""


@dataclass
class Person:
    """A user with one device, as a client sees it."""

    world: "World"
    username: str
    tokens: dict[str, Any] = field(default_factory=dict)
    signing: SigningKey = field(default_factory=SigningKey.generate)

    @property
    def device(self) -> str:
        return str(self.tokens["device_id"])

    @property
    def token(self) -> str:
        return str(self.tokens["access_token"])

    @property
    def address(self) -> str:
        return f"@{self.username}:{SERVER_NAME}"

    async def call(
        self, method: str, path: str, body: Any = None, *, gateway: int = 0, expect: int | None = None
    ) -> Any:
        """Call as this person; returns the parsed body, or (status, body) if nothing is expected."""
        headers = {"Authorization": f"Bearer {self.token}"}
        status, answer = await self.world.call(method, path, body, headers=headers, gateway=gateway)
        if expect is None:
            return status, answer
        assert status == expect, answer
        return answer

    def signed(self, value: dict[str, Any]) -> dict[str, Any]:
        signature = wire.unpadded(self.signing.sign(canonical_json(value)).signature)
        return value | {"signatures": {self.address: {f"ed25519:{self.device}": signature}}}

    def device_keys(self) -> dict[str, Any]:
        return self.signed(
            {
                "user_id": self.address,
                "device_id": self.device,
                "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
                "keys": {
                    f"curve25519:{self.device}": wire.unpadded(bytes(range(32))),
                    f"ed25519:{self.device}": wire.unpadded(bytes(self.signing.verify_key)),
                },
            }
        )

    def one_time_keys(self, *names: str) -> dict[str, Any]:
        return {
            f"signed_curve25519:{name}": self.signed({"key": wire.unpadded(secrets.token_bytes(32))})
            for name in names
        }

    async def publish_keys(self) -> None:
        await self.call("POST", "/v1/keys/upload", {"device_keys": self.device_keys()}, expect=200)

    async def send(self, to: "Person", text: bytes = b"hi", *, message_id: str = "", gateway: int = 0) -> Any:
        """Send to the one device of a user; returns (status, body)."""
        return await self.call("POST", "/v1/messages", message(to, text, message_id), gateway=gateway)

    async def receive(self, seq: int) -> list[dict[str, Any]]:
        """Return what waits for this device, once the entry with this number is among it."""
        page = await until_found(
            lambda: self.call("GET", "/v1/sync?limit=256", expect=200),
            lambda found: seq in [each["seq"] for each in found["entries"]],
        )
        return list(page["entries"])

    async def log_in(self, device_id: str | None = None) -> "Person":
        """Log in once more; returns the person on that device."""
        body: dict[str, Any] = {"username": self.username, "password": PASSWORD}
        body |= {"device": {"name": "another"}} if device_id is None else {"device_id": device_id}
        status, tokens = await self.world.call("POST", "/v1/sessions", body)
        assert status == 201, tokens
        signing = SigningKey.generate() if device_id is None else self.signing
        return Person(self.world, self.username, tokens, signing)

    def stream(self, *, gateway: int = 0, protocol: str | None = wire.JSON, **options: Any) -> Any:
        """Open a WebSocket (an async context manager)."""
        protocols = [protocol] if protocol else []
        url = f"{self.world.addresses[gateway]}/v1/stream"
        return self.world.http.ws_connect(url, protocols=protocols, max_msg_size=0, **options)

    @asynccontextmanager
    async def hello(self, **fields: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a stream and wait until its backlog is through."""
        gateway = fields.pop("gateway", 0)
        async with self.stream(gateway=gateway) as socket:
            await socket.send_json({"type": "hello", "token": self.token, **fields})
            await until(socket, "ready")
            yield socket


@dataclass
class World:
    """Everything that runs."""

    http: aiohttp.ClientSession
    gateways: list[Gateway]
    host: ActorHost
    routers: list[Router]
    store: MongoStore
    shard_map: ShardMap
    broker: Server
    name: str

    @property
    def addresses(self) -> list[str]:
        found = [gateway.address for gateway in self.gateways]
        return [f"http://{address[0]}:{address[1]}" for address in found if address is not None]

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        data: Any = None,
        gateway: int = 0,
    ) -> tuple[int, Any]:
        """Call over HTTP; returns status and parsed body."""
        url = self.addresses[gateway] + path
        async with self.http.request(method, url, json=body, data=data, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 400:
                assert answer.headers["Content-Type"].startswith(
                    ("application/problem+json", "application/json")
                )
                assert answer.headers["X-Request-Id"]
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    async def person(self, *, keys: bool = True) -> Person:
        """Register and log in a new user."""
        person = Person(self, f"u{secrets.token_hex(6)}")
        account = {"username": person.username, "password": PASSWORD}
        status, answer = await self.call("POST", "/v1/accounts", account)
        assert status == 201, answer
        body = account | {"device": {"name": "phone"}}
        status, person.tokens = await self.call("POST", "/v1/sessions", body)
        assert status == 201, person.tokens
        if keys:
            await person.publish_keys()
        return person


def message(to: Person, text: bytes = b"hi", message_id: str = "", **changes: Any) -> dict[str, Any]:
    whole = {
        "id": message_id or new_id(),
        "to": to.username,
        "sent_at_ms": now_ms(),
        "suite": "sealed.v1",
        "payloads": {to.device: base64.b64encode(text).decode().rstrip("=")} if to.tokens else {},
    }
    return whole | changes


_count = itertools.count()


def new_id(ago_ms: int = 0) -> str:
    """Make an id; those of one millisecond are in order too, as good clients make them."""
    return uuid7(now_ms() - ago_ms, next(_count).to_bytes(4, "big") + secrets.token_bytes(6))


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Return the next frame of this type; fails if the socket closes before."""
    while True:
        received = await socket.receive(timeout=20)
        assert received.type is aiohttp.WSMsgType.TEXT, (kind, received, socket.close_code)
        frame: dict[str, Any] = json.loads(received.data)
        if frame["type"] == kind:
            return frame


async def closing(socket: aiohttp.ClientWebSocketResponse) -> tuple[list[dict[str, Any]], int | None]:
    """Read to the end; returns the frames and the close code."""
    frames: list[dict[str, Any]] = []
    while True:
        received = await socket.receive(timeout=20)
        if received.type is not aiohttp.WSMsgType.TEXT:
            return frames, socket.close_code
        frames.append(json.loads(received.data))


@asynccontextmanager
async def running(
    urls: Urls,
    *,
    gateways: int = 1,
    limits: dict[str, Limit] | None = None,
    control_plane: ControlPlane | None = None,
    host: HostSettings | None = None,
    api: Mapping[str, Any] | None = None,
    media: Open | None = None,
) -> AsyncIterator[World]:
    """Run the world with a database, a broker and keys of its own.

    Args:
        urls: Where the servers are.
        gateways: How many.
        limits: Other limits than usual.
        control_plane: What operators' calls reach.
        host: Settings of the host.
        api: Changes of `ApiSettings`.
        media: Opens what files are kept in, for each gateway; None for a folder of its own.
    """
    async with AsyncExitStack() as stack:
        settings = ApiSettings(SERVER_NAME, 600, 30 * 24 * 3600, **{"admission": PATIENT} | dict(api or {}))
        plane = control_plane or NoControlPlane()
        make = media or a_folder()
        opened = [make() for _ in range(gateways)]
        yield await _built(stack, urls, opened, limits, settings, plane, host)


async def _built(
    stack: AsyncExitStack,
    urls: Urls,
    media: Sequence[StoredObjects],
    limits: dict[str, Limit] | None,
    settings: ApiSettings,
    control_plane: ControlPlane,
    host_settings: HostSettings | None,
) -> World:
    name = f"t{secrets.token_hex(5)}"
    keyring = KeyRing(fresh_secrets(now_ms()))
    # The topics' names are fixed, and this broker is up in milliseconds: each world has its own.
    broker = await start(kfake(free_port(), Path(mkdtemp()), sync=False))
    stack.push_async_callback(broker.stop)
    kafka = broker.spec.address
    admin = KafkaLogAdmin(kafka)
    await admin.start()
    stack.push_async_callback(admin.close)
    for topic in ("mailbox", "push"):
        await admin.create(topic, SHARDS)

    def store(url: str = "") -> MongoStore:
        made = MongoStore(url or urls.mongo, name, "motor", keyring)
        stack.push_async_callback(made.close)
        return made

    def cache() -> RedisStore:
        made = RedisStore(urls.redis, f"{name}:")
        stack.push_async_callback(made.close)
        return made

    async def writer() -> KafkaLogWriter:
        made = KafkaLogWriter(kafka)
        await made.start()
        stack.push_async_callback(made.close)
        return made

    own = store()
    await own.prepare()
    await own.cluster.put_log_states([LogState(shard, 1, 0) for shard in range(SHARDS)])
    stores = Stores(store(urls.hosts_mongo), cache(), await writer())
    host = ActorHost("host-0", stores, keyring.cluster_secret, now_ms, host_settings)
    reader = KafkaLogReader(kafka, "mailbox", "routers")
    await reader.start()
    stack.push_async_callback(reader.close)
    router = Router("router-0", reader, store(), Connections(("router", "router-0"), keyring.cluster_secret))
    fronts = [
        Gateway(
            f"gateway-{number}",
            Listen(port=0),
            settings,
            Backends(
                store(),
                cache(),
                await writer(),
                keyring,
                now_ms,
                media_of(own, objects),
                control_plane=control_plane,
            ),
            limits,
        )
        for number, objects in enumerate(media)
    ]
    stack.push_async_callback(host.stop)
    address = await host.start()
    shards: Any = {"hosts": ("host-0",) * SHARDS, "routers": ("router-0",) * SHARDS, "bases": (1,) * SHARDS}
    shard_map = ShardMap(
        version=1, pushers=(), addresses={"host-0": address}, incarnations={"host-0": "a"}, **shards
    )
    await own.cluster.put_shard_map(shard_map)
    own_services: list[Any] = [router, *fronts]
    for service in own_services:
        stack.push_async_callback(service.stop)
        await service.start()
    for service in (host, *own_services):
        await service.apply(shard_map)
    http = await stack.enter_async_context(aiohttp.ClientSession())
    return World(http, fronts, host, [router], own, shard_map, broker, name)
