"""One world: people and their phones, two gateways, routers and hosts, the map, and time."""

from collections import Counter
from hashlib import blake2b
from itertools import count
from typing import Any, Final, cast

from msgspec import Struct, structs

from actors.rpc import questions as q
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from api.identity.tokens import Principal
from cluster.log.numbers import FIRST_BASE, raised
from roost.ids import shard_of, uuid7
from roost.signing import DeviceBundle
from sim.deterministic.facts import Violation
from sim.deterministic.gateways import Gateway
from sim.deterministic.hosts import Host
from sim.deterministic.invariants import Truth
from sim.deterministic.links import Links
from sim.deterministic.logs import Log, PromptWriter, Reader
from sim.deterministic.phones import Phone
from sim.deterministic.polls import Polling
from sim.deterministic.routers import Router
from sim.deterministic.sockets import Socket
from sim.deterministic.stores import Cache, Store
from sim.deterministic.sweeps import host_settings
from sim.deterministic.turns import Task, finish
from storage.account_rows import NO_FLOOR, Device, User
from storage.cluster_rows import LogState
from storage.records import KeysRecord, encode_record
from storage.shard_map import ShardMap

KEYS: Final[dict[str, object]] = structs.asdict(DeviceBundle("", "", [], {}, {}))
"""Of a device that can be sent to; nothing is encrypted here."""

NAMES = ("ann", "bob", "cat", "dan", "eve")
HOSTS = ("h0", "h1")
ROUTERS = ("r0", "r1")
GATEWAYS = ("g0", "g1")

_START_MS = 1_800_000_000_000
_NEVER_MS = 2**50
_WITH_TOKEN = 2
"""So many devices of each user have a push token."""


class Plan(Struct, frozen=True):
    """How large a world is.

    Attributes:
        shards: Number of shards, 1 or 2.
        devices: Number of devices of each user.
        small: Mailboxes are small, and swept soon; some messages disappear.
    """

    shards: int
    devices: tuple[int, ...]
    small: bool = False


class World:
    """Everything that a run consists of. Steps change it; nothing else does.

    Attributes:
        unsure: For each user, how often it was not told whether a block was done.
        deaf: Roles that hear nothing of the map.
        refreshes: The changes of users' devices that hosts are to be told of: user and device.
    """

    def __init__(self, plan: Plan, actor: type[UserActor] = UserActor) -> None:
        self.now_ms = _START_MS
        self.store, self.cache, self.links = Store(), Cache(), Links()
        self.truth = Truth(self.store)
        self.small = plan.small
        self._settings = host_settings(small=plan.small)
        self.store.swept = self._swept
        self.log = Log(plan.shards, self._appended, self.truth.wakeups.asked)
        self.store.logs = {shard: LogState(shard, FIRST_BASE, 0) for shard in range(plan.shards)}
        self.phones: dict[str, Phone] = {}
        self.sockets: dict[str, list[Socket | Polling]] = {}
        self.refreshes: dict[int, tuple[str, str]] = {}
        self._changes = count(1)
        self.ghosts: list[Task] = []
        self.unsure: Counter[str] = Counter()
        self.deaf: set[str] = set()
        self._actor = actor
        self._lives = 0
        self._digest = blake2b(digest_size=16)
        for name, devices in zip(NAMES, plan.devices, strict=False):
            self._add_user(name, devices)
        self.hosts: dict[str, Host] = {}
        self.view = ShardMap(0, ("",) * plan.shards, ("",) * plan.shards, (), (), {}, {})
        self.routers: dict[str, Router] = {}
        self.gateways: dict[str, Gateway] = {}
        for name in HOSTS:
            self.start_host(name)
        for name in ROUTERS:
            self.start_router(name)
        for name in GATEWAYS:
            self.start_gateway(name)
        numbers = range(plan.shards)
        self.show(hosts=tuple(HOSTS[n % 2] for n in numbers), routers=tuple(ROUTERS[n % 2] for n in numbers))
        for name in (*HOSTS, *ROUTERS, *GATEWAYS):
            self.apply_view(name)

    def clock(self) -> int:
        """Return the time, in Unix milliseconds."""
        return self.now_ms

    # --- people ---

    def _add_user(self, name: str, devices: int) -> None:
        self.store.users[name] = User(name, name, "", name, 0)
        self.store.devices[name] = []
        for _ in range(devices):
            self.add_device(name)

    def add_device(self, user: str, *, keys: bool = True) -> str:
        """Give a user one more device, which can be sent to when it has keys; returns its name."""
        mine = self.store.devices[user]
        name = f"{user.upper()}{len(mine):07d}"
        tops = [document.seq for document in self.store.mailbox(user)]
        floor = NO_FLOOR if mine else 0
        mine.append(
            Device(
                user,
                name,
                name,
                0,
                KEYS if keys else None,
                push_token=name if len(mine) < _WITH_TOKEN else None,
                from_seq=max(tops, default=0),
                floor=floor,
            )
        )
        self.truth.owner[name] = user
        self.truth.sweeps.stayed(name, self.now_ms)
        self.phones[name] = Phone(user, name, self.truth, self._devices_of)
        self.sockets[name] = []
        return name

    def new_device(self, user: str, gateway: str) -> None:
        """A user signs in on one more device and uploads its keys."""
        self._announce(user, self.add_device(user), gateway)

    def sign_in(self, user: str) -> None:
        """A user signs in on one more device, which has no keys yet: the host is to be told."""
        self._to_tell(user, self.add_device(user, keys=False))

    def register_token(self, device: str) -> None:
        """A device has a new push token: the host is to be told."""
        user = self.truth.owner[device]
        self.store.devices[user] = [
            structs.replace(each, push_token=device, push_since_ms=each.push_since_ms + 1)
            if each.device == device
            else each
            for each in self.store.devices[user]
        ]
        self.truth.wakeups.renewed(device)
        self._to_tell(user, device)

    def keyless(self) -> list[str]:
        """Return the devices that have no keys."""
        return [e.device for devices in self.store.devices.values() for e in devices if e.keys is None]

    def upload_keys(self, device: str, gateway: str) -> bool:
        """A device uploads its keys."""
        if device not in self.keyless():
            return False
        user = self.truth.owner[device]
        self.store.devices[user] = [
            structs.replace(each, keys=KEYS) if each.device == device else each
            for each in self.store.devices[user]
        ]
        self._announce(user, device, gateway)
        return True

    def _announce(self, user: str, device: str, gateway: str) -> None:
        """The host is to be told of a device that can be sent to, and who writes to its user."""
        self._to_tell(user, device)
        cause = uuid7(self.now_ms, device.encode()[:10])
        peers = self.store.rows.get(user, {})
        told = [(to, KeysRecord(to, cause, user, user, device, "added", self.now_ms)) for to in peers]
        sequencer = self.gateways[gateway].sequencer
        finish(sequencer.append([(to, encode_record(record)) for to, record in told]))

    def _to_tell(self, user: str, device: str) -> None:
        """The host is to be told of this change: what it was told of one before does not count."""
        self.refreshes[next(self._changes)] = user, device

    def refresh(self, gateway: str) -> bool:
        """Let a gateway tell a host that a user's devices have changed; it is told again until it is done."""
        if not self.refreshes:
            return False
        change, (user, device) = next(iter(self.refreshes.items()))
        self.refreshes[change] = self.refreshes.pop(change)  # the others come first next time

        def replied(answer: q.Answer | None) -> None:
            if answer is not None:
                self.refreshes.pop(change, None)

        self.gateways[gateway].change(user, lambda call: q.Refresh(call, user, device), replied)
        return True

    def _devices_of(self, user: str) -> list[str]:
        return [device.device for device in self.store.devices[user] if device.keys is not None]

    def has_other_devices(self, user: str, device: str) -> bool:
        """Return whether a device's user has another one that can be sent to."""
        return any(each != device for each in self._devices_of(user))

    def users_of(self, shard: int) -> list[str]:
        """Return the users of a shard."""
        return [user for user in self.store.users if shard_of(user, len(self.log.shards)) == shard]

    def principal(self, device: str) -> Principal:
        """Return who speaks from this phone."""
        user = self.truth.owner[device]
        return Principal(user, user, device, device, _NEVER_MS)

    def connect(self, device: str, gateway: str, way: str = "stream") -> None:
        """Open a connection from a phone to a gateway: ``stream``, ``background`` stream or ``poll``."""
        role, who = self.gateways[gateway], self.principal(device)
        socket = Polling(role, who) if way == "poll" else Socket(role, who)
        self.sockets[device] = [socket, *(each for each in self.sockets[device] if not each.ended)]
        self.truth.sweeps.returned(device, self.now_ms)
        self.phones[device].connect(socket, background=way == "background")

    def first_device(self, user: str) -> str:
        """Return a user's first phone."""
        return self.store.devices[user][0].device

    # --- roles ---

    def start_host(self, name: str) -> None:
        """Begin a new life of a host."""
        self._lives += 1
        servers = (self.store, self.cache, self.log)
        life = f"{name}.{self._lives}"
        self.hosts[name] = Host(name, life, servers, self.clock, self, self._actor, self._settings)

    def stop_host(self, name: str, landing: int) -> None:
        """Kill a host: all its memory is gone; so many calls in flight still reach the stores."""
        host = self.hosts.pop(name)
        self.truth.parted = True
        for shard in host.shards:
            self.gave_up(shard)
        self.ghosts += host.tasks[:landing]
        self.links.close_all(name)
        for task in host.tasks[landing:]:
            task.drop()

    def start_router(self, name: str) -> None:
        """Begin a new life of a router."""
        self.links.close_all(name)
        self.routers[name] = Router(name, Reader(self.log), self.store)

    def restart_router(self, name: str) -> None:
        """Kill a router and begin its next life."""
        self.start_router(name)
        self.apply_view(name)

    def restart_gateway(self, name: str) -> None:
        """Kill a gateway and begin its next life."""
        self.start_gateway(name)
        self.apply_view(name)

    def start_gateway(self, name: str) -> None:
        """Begin a new life of a gateway: its connections are gone."""
        self.links.close_all(name)
        before = self.gateways.get(name)
        self.gateways[name] = Gateway(name, self.store, self.cache, PromptWriter(self.log), self.clock)
        for device, sockets in self.sockets.items():
            for socket in sockets:
                if socket.gateway.name == name and not socket.ended:
                    socket.ended = True
                    if self.phones[device].socket is socket:
                        self.phones[device].hang_up(self.now_ms)
        if before is not None:
            before.hosts.abandon()

    # --- the map ---

    def show(self, **changes: Any) -> None:
        """Make the next version of the map; roles learn it when a step says so."""
        before, version = self.view.hosts, self.view.version + 1
        self.view = structs.replace(
            self.view,
            version=version,
            since=self.view.since_with(changes.get("hosts", before), version),
            bases=tuple(self.store.logs[shard].base for shard in range(len(self.log.shards))),
            addresses=dict.fromkeys(self.hosts, ("", 0)),
            incarnations={name: host.life for name, host in self.hosts.items()},
            **changes,
        )
        self.store.map = self.view
        for shard, host in enumerate(self.view.hosts):
            if before[shard] not in {"", host}:
                self.truth.parted = True

    def apply_view(self, name: str) -> bool:
        """Let a role learn the map, and find its hosts."""
        role = self.hosts.get(name) or self.routers.get(name) or self.gateways.get(name)
        if role is None or role.version >= self.view.version or name in self.deaf:
            return False
        role.learn(self.view)
        if not isinstance(role, Host):
            self.reach_hosts(name)
        return True

    def reach_hosts(self, name: str) -> bool:
        """Let a router or gateway link to the hosts that it has no link to."""
        router = name in self.routers
        role = self.routers[name].connections if router else self.gateways[name].hosts.connections
        kind = "router" if router else "gateway"
        reached = False
        for host, life in role.lacking():
            known = self.hosts.get(host)
            if known is not None and known.life == life:
                end = self.links.join((role, kind, name), (known, "host", host), life)
                role.reached(host, cast("Any", end))
                reached = True
        return reached

    # --- the log ---

    def lose_log(self, shard: int) -> None:
        """The log of a shard is gone, with all in it that is not stored."""
        self.truth.log_lost(self.users_of(shard))
        self.truth.wakeups.lost(self.users_of(shard))
        self.log.shards[shard] = None

    def is_owed(self, shard: int) -> bool:
        """Have hosts end the log of a shard (`cluster.control.log_clients`); return whether one is not done.

        No one waits for who is deaf, or forever: here, not for who goes on with all of it in memory.
        """
        base, since = raised(self.store.logs[shard], 0, 0).base, self.view.since[shard]
        asked = [
            host
            for name, host in self.hosts.items()
            if name not in self.deaf
            and not (self.view.hosts[shard] == name and host.has_all_of(shard, since))
        ]
        owing = [name for host in asked for name in host.end_logs({shard: base})]  # each is told
        return bool(owing)

    def remake_log(self, shard: int) -> None:
        """Raise the base and recreate the log (`cluster.log.lifecycle.LogLifecycle.lost`)."""
        state = self.store.logs[shard]
        self.store.logs[shard] = raised(state, 0, 0)
        self.log.shards[shard] = []
        self.show()

    def _appended(self, shard: int, offset: int, value: bytes) -> None:
        self.truth.appended(self.store.logs[shard].base + offset, value)

    def sweepable(self) -> list[tuple[str, str]]:
        """Return hosts with mailboxes that they could take something from; none but in small worlds."""
        return [
            (name, user)
            for name, host in self.hosts.items()
            for user in self.store.users
            if self.small and len(self.store.documents.get(user, {})) > 1 and host.serves(user)
        ]

    def _swept(self, user: str, below: int) -> None:
        if story := self.truth.sweeps.too_soon(user, below, self.now_ms):
            raise Violation("swept", f"a sweep takes {story}")

    # --- hosts.Watcher ---

    def gave_up(self, shard: int) -> None:
        """A host has forgotten all that it knew of a shard's users."""
        self.truth.wakeups.forgotten(self.users_of(shard))

    def handled(self, user: str, event: ev.Event, effects: list[do.Effect]) -> None:
        """An actor has handled an event."""
        self.truth.wakeups.handled(user, event, effects)
        for effect in effects:
            self._digest.update(repr((user, effect)).encode())
            self.truth.effect(user, effect)
            if isinstance(effect, do.Refuse | do.Close) and effect.code == "cursor_invalid":
                shard = shard_of(user, len(self.log.shards))
                end = len(self.log.shards[shard] or ())
                if any(host.lags(user, end) for host in self.hosts.values()):
                    self.truth.overtaken.add(user)

    @property
    def digest(self) -> str:
        """What tells one run from another: a hash over all effects of all actors."""
        return self._digest.hexdigest()
