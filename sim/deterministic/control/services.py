"""The roles of a run. Router and pusher are the real ones, and around every role is its real fence.

Gateway and host are imitated, as far as the control plane knows them: what they write, when they may, what
they say of it. The real host and the real accept path are driven by the other kind of runs.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import repeat
from random import Random
from typing import Any

from msgspec import Struct, field

from actors.map_lease import MapLease
from actors.rpc import messages as m
from api.sending.sequence import Sequencer
from cluster.consumers.provider import Again, Retries, Sent, Verdict
from roost.errors import Unavailable
from roost.ids import shard_of
from roost.tasks import BackgroundTasks, insist
from sim.deterministic.control.links import End
from sim.deterministic.control.log import Writer
from sim.deterministic.control.truth import Truth
from storage.account_rows import Device
from storage.records import PushRecord, encode_push
from storage.shard_map import ShardMap
from storage.topics import MAILBOX, PUSH, TOPICS

USERS = tuple(f"user-{number}" for number in range(8))

_LINGER_S = 0.05
_RETRY_S = 0.3
_TRAFFIC_S = (0.4, 2.0)


class Gateway:
    """Sends messages of its own accord. Numbering and its doubts are the real ones."""

    def __init__(self, name: str, writer: Writer, store: Any, truth: Truth, rng: Random, life: str) -> None:
        self.name, self._life = name, life
        self._writer, self._truth, self._rng = writer, truth, rng
        self._sequencer = Sequencer(writer, store, MapLease())
        self.shard_map: ShardMap | None = None
        self._tasks = BackgroundTasks()
        self._sent = self._accepted = 0

    async def start(self) -> None:
        """Start sending."""
        self._tasks.spawn(self._traffic())

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map, as `api.gateway.Gateway.apply`."""
        self._sequencer.lease.renew()
        if self.shard_map is None or shard_map.version >= self.shard_map.version:
            self._writer.forget(shard_map.recreated(self.shard_map))
            if shard_map.renumbered(self.shard_map):
                self._writer.renumber()
            self._sequencer.adopt(shard_map.bases, shard_map.records)
            self.shard_map = shard_map

    async def pause_writes(self) -> None:
        """Write no more."""
        await self._writer.pause()

    async def resume_writes(self) -> None:
        """Write again."""
        self._writer.resume()

    async def status(self) -> dict[str, Any]:
        """Return what was written."""
        self._sequencer.lease.renew()
        appended = {MAILBOX: self._writer.ends(MAILBOX)}
        return {"accepted": self._accepted, "appended": appended, "batches": self._writer.batches}

    async def stop(self) -> list[str]:
        """Send no more."""
        await self._tasks.cancel()
        await self._writer.close()
        return []

    async def _traffic(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*_TRAFFIC_S))
            user = self._rng.choice(USERS)
            self._sent += 1
            value = f"{user}/{self.name}/{self._life}/{self._sent}".encode()
            try:
                [result] = await self._sequencer.append([(user, value)])
            except Unavailable:  # as `api.sending.sender` does
                continue
            if isinstance(result, int):
                self._accepted += 1
                self._truth.accept(result, user, value)


class Hosted(Struct, eq=False):
    """A shard that a host has.

    Attributes:
        base: Base of its log.
        since: Version of the map that gave it to the host.
        link: To the router that reads it, None if none does.
        waiting: Offsets and values that are not stored; no value where there is nothing to store.
        writing: Something of it is being stored.
    """

    base: int
    since: int
    link: End | None
    waiting: list[tuple[int, bytes]] = field(default_factory=list)
    writing: bool = False


class Host:
    """Stores what routers bring, writes a wake-up for each, and says so.

    Which shards it has, and what it tells routers of them, is as in `actors.host.links.ownership`.
    """

    def __init__(self, name: str, address: tuple[str, int], writer: Writer, store: Any, truth: Truth) -> None:
        self.name, self._address, self._truth = name, address, truth
        self._writer, self._store = writer, store
        self.shard_map: ShardMap | None = None
        self._hosted: dict[int, Hosted] = {}
        self._since: dict[int, int] = {}
        self._over: dict[int, int] = {}
        self._routers: list[End] = []
        self._writing: list[Hosted] = []
        self._tasks = BackgroundTasks()

    async def start(self) -> tuple[str, int]:
        """Listen."""
        return self._address

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map, as `actors.host.ActorHost.apply`."""
        before = self.shard_map
        if before is not None and shard_map.version < before.version:
            return
        self._writer.forget(shard_map.recreated(before))
        if shard_map.renumbered(before):
            for shard in list(self._hosted):
                self._give_up(shard)
            self._writer.renumber()
        self.shard_map = shard_map
        for shard in [shard for shard in self._hosted if shard_map.hosts[shard] != self.name]:
            self._give_up(shard)
        self._learn_since(shard_map.since_of(self.name))

    async def pause_writes(self) -> None:
        """Append no more."""
        await self._writer.pause()

    async def resume_writes(self) -> None:
        """Append again."""
        self._writer.resume()

    async def status(self) -> dict[str, Any]:
        """Return what is here, and what waits."""
        return {
            "shards": len(self._hosted),
            "users": 0,
            "waiting": sum(len(each.waiting) for each in self._all()),
            "appended": {topic: self._writer.ends(topic) for topic in TOPICS},
            "batches": self._writer.batches,
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take what the coordinator tells a host."""
        if message["act"] == "end_logs":
            for shard, base in message["bases"]:
                self._over[shard] = max(base, self._over.get(shard, 0))
            return sorted(
                shard
                for shard, each in self._hosted.items()
                if each.waiting and each.base < self._over.get(shard, 0)
            )
        if message["act"] == "handover_report":
            return {"before": 0, "users": 0, "after": 0, "acknowledged": 0, "missing": 0}
        return True

    async def stop(self) -> list[str]:
        """Stop."""
        await self._tasks.cancel()
        await self._writer.close()
        return []

    def _all(self) -> list[Hosted]:
        elsewhere = [each for each in self._writing if each not in self._hosted.values()]
        return [*self._hosted.values(), *elsewhere]

    # --- shards ---

    def _give_up(self, shard: int) -> None:
        del self._hosted[shard]
        for router in self._routers:
            self._refuse(router, shard)

    def _refuse(self, router: End, shard: int) -> None:
        router.send(m.NotMine(shard, self.shard_map.version if self.shard_map is not None else 0))

    def _learn_since(self, shards: dict[int, int]) -> None:
        for shard, since in shards.items():
            self._since[shard] = max(since, self._since.get(shard, 0))
            known = self._hosted.get(shard)
            if known is not None and known.since < since:
                self._give_up(shard)

    def _refuses(self, opened: m.Open) -> bool:
        shard, shard_map = opened.shard, self.shard_map
        if shard_map is not None and dict(enumerate(shard_map.hosts)).get(shard) != self.name:
            return True
        if opened.since:
            self._learn_since({shard: opened.since})
            if opened.since < self._since[shard]:
                return True
        known = self._hosted.get(shard)
        bases = (
            shard_map.bases[shard] if shard_map is not None else 0,
            known.base if known is not None else 0,
        )
        return opened.base < max(*bases, self._over.get(shard, 0))

    # --- links ---

    def received(self, end: End, message: Any) -> None:
        """Take what a router says."""
        if end not in self._routers:
            self._routers = [*(each for each in self._routers if each.alive), end]
        match message:
            case m.Open():
                if self._refuses(message):
                    self._refuse(end, message.shard)
                else:
                    since = self._since.get(message.shard, 0)
                    self._hosted[message.shard] = Hosted(message.base, since, end)
            case m.Batch():
                for part in message.parts:
                    self._take(end, part)
            case m.Shut():
                for shard in message.shards:
                    if (hosted := self._hosted.get(shard)) is not None and hosted.link is end:
                        hosted.link = None

    def _take(self, end: End, part: m.Part) -> None:
        hosted = self._hosted.get(part.shard)
        if hosted is None or hosted.link is not end or hosted.base < self._over.get(part.shard, 0):
            self._refuse(end, part.shard)
            return
        for offset, value in zip(part.offsets, part.values, strict=True):
            misplaced = (
                self.shard_map is not None and shard_of(_user_of(value), self.shard_map.shards) != part.shard
            )
            if misplaced:
                self._truth.misplaced(value)
            hosted.waiting.append((offset, b"" if misplaced else value))
        if not hosted.writing:
            hosted.writing = True
            self._tasks.spawn(self._write(part.shard, hosted))

    async def _write(self, shard: int, hosted: Hosted) -> None:
        """Write what waits until nothing does, whoever has the shard by then."""
        self._writing.append(hosted)
        while hosted.waiting:
            await asyncio.sleep(_LINGER_S)
            some = list(hosted.waiting)
            documents = {(_user_of(value), hosted.base + at): value for at, value in some if value}
            await insist(partial(self._store.insert, documents), "again", pauses=repeat(_RETRY_S))
            await insist(partial(self._wake, list(documents.values())), "again", pauses=repeat(_RETRY_S))
            del hosted.waiting[: len(some)]
            if hosted.link is not None:
                hosted.link.send(m.Stored({shard: some[-1][0] + 1}, {shard: hosted.base}))
        self._writing.remove(hosted)
        hosted.writing = False

    async def _wake(self, values: list[bytes]) -> None:
        """Append a wake-up for each; one whose fate is unknown is appended again."""
        shards = self.shard_map.shards if self.shard_map is not None else 1
        items = []
        for value in values:
            name = value.decode()
            items.append((shard_of(_user_of(value), shards), encode_push(PushRecord(name, name, name, 0))))
        for result in await self._writer.append(PUSH, items):
            if isinstance(result, Exception):
                raise result


def _user_of(value: bytes) -> str:
    return value.decode().split("/")[0]


class Provider:
    """Carries wake-ups; see `cluster.consumers.provider.Provider`."""

    retries = Retries(attempts=1_000_000, first_s=1.0, longest_s=60.0)

    def __init__(self, truth: Truth, troubled: Callable[[], bool], pause_s: float) -> None:
        self._truth, self._troubled, self._pause_s = truth, troubled, pause_s

    async def send(self, device: Device, *, urgent: bool) -> Verdict:
        """Send it."""
        del urgent
        await asyncio.sleep(self._pause_s)
        if self._troubled():
            return Again()
        self._truth.sent.add(device.push_token or "")
        return Sent()

    async def close(self) -> None:
        """Disconnect."""
