"""The host: a role that serves the users of its shards. Everything it is made of is put together here."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, get_args

import structlog

from actors.host.links.gateways import GatewayMessages
from actors.host.links.handover import Handover
from actors.host.links.intake import Intake
from actors.host.links.links import Links
from actors.host.links.ownership import ShardOwnership
from actors.host.links.reports import Reports
from actors.host.runtime import Runtime
from actors.host.settings import HostSettings
from actors.host.shards.commits import Commits
from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.host.streams.questions import answer_done
from actors.host.streams.streams import Streams, Watches
from actors.host.upkeep.eraser import Eraser
from actors.host.upkeep.looks import Looks
from actors.host.upkeep.sweeper import Sweeper
from actors.host.users.activation import Activation
from actors.host.users.deadlines import Deadlines
from actors.host.users.dispatcher import Dispatcher
from actors.host.users.effect_executor import EffectExecutor
from actors.host.users.loader import Loader
from actors.host.users.passivation import Passivation
from actors.host.users.residents import Residents
from actors.host.users.snapshots import Snapshots
from actors.host.writes.dead_letters import DeadLetters
from actors.host.writes.writer import Stores, Writer
from actors.rpc import messages as msg
from actors.rpc import questions as q
from actors.rpc.handshake import LinkSecret
from actors.rpc.link import Link, serve
from actors.service import Address
from actors.user import UserActor
from actors.user import events as ev
from actors.user.quota import Quotas
from roost.clock import Clock
from roost.errors import RoostError
from roost.ids import shard_of
from storage.shard_map import ShardMap
from storage.topics import TOPICS
from telemetry import metrics

log = structlog.get_logger()


class ActorHost:
    """Serves the users of the shards that routers open here; see `actors.service.Service`.

    Data walks one way: a message comes in over a link, becomes an event in its user's inbox, the actor turns
    it into effects, and the effects leave over links or through the writer. A user whose actor must be
    loaded, or whose event lacks a fact, waits with its inbox; all others go on.

    Args:
        name: Of this host.
        stores: MongoDB, Redis and the log.
        secret: Of the cluster, for links.
        clock: Unix milliseconds.
        settings: The operator's.
        runtime: The event loop.
        make_actor: Makes the actor of a user.
    """

    def __init__(
        self,
        name: str,
        stores: Stores,
        secret: LinkSecret,
        clock: Clock,
        settings: HostSettings | None = None,
        runtime: Runtime | None = None,
        make_actor: Callable[[ev.Loaded, Quotas], UserActor] = UserActor,
    ) -> None:
        self._secret, self._settings = secret, settings or HostSettings()
        self._store, self._log = stores.store, stores.log
        self._runtime = runtime = runtime or Runtime()
        self._shards = shards = ShardTable()
        self._residents = residents = Residents(shards, lambda: runtime.soon(self._dispatcher.run))
        self._links = links = Links(shards)
        self._streams = streams = Streams(clock)
        watches = Watches()
        commits = Commits(shards, runtime)
        self._writer = writer = Writer(
            stores, shards, commits.finished, answer_done, clock, self._settings.store_linger_s
        )
        self._snapshots = snapshots = Snapshots(stores.cache, secrets.token_hex(8))
        activation = Activation(stores.store, snapshots, writer, runtime)
        dead_letters = DeadLetters(stores, commits.finished, clock, runtime)
        quotas = self._settings.quotas

        def made(loaded: ev.Loaded) -> UserActor:
            return make_actor(loaded, quotas)

        loader = Loader(residents, activation, snapshots, streams, dead_letters, runtime, made)
        self._eraser = Eraser(stores, shards, loader.let_go, clock, runtime, self._settings.erasure)
        self._sweeper = Sweeper(name, stores.store, shards, clock, runtime, self._settings.sweep)
        self._deadlines = Deadlines(residents, clock)
        executor = EffectExecutor(
            writer,
            (streams, watches, links.tell_room),
            self._deadlines,
            shards,
            loader.read_page,
            clock,
            self._settings.hold_back_ms,
        )
        self._dispatcher = Dispatcher(residents, loader, executor, dead_letters, commits, clock)
        self._passivation = Passivation(
            residents,
            snapshots,
            clock,
            runtime,
            idle_ms=self._settings.idle_ms,
            every_s=self._settings.sweep_every_s,
        )
        self._ownership = ShardOwnership(name, shards, links, residents, writer, commits, self._dropped)
        self._looks = Looks(residents, streams, clock, runtime)
        self._reports = Reports(shards, links, clock, runtime)
        self._gateways = GatewayMessages(shards, links, residents, (streams, watches), loader, writer, clock)
        self._handlers = self._made_handlers(
            Intake(shards, self._ownership, links, residents, dead_letters, clock)
        )
        self._server: asyncio.Server | None = None
        self._handover: Handover | None = None

    def _made_handlers(self, intake: Intake) -> dict[str, dict[type, Callable[[Link, Any], None]]]:
        questions: tuple[type, ...] = get_args(q.Question)
        return {
            "router": {
                msg.Batch: intake.batch,
                msg.Open: self._ownership.open,
                msg.Shut: self._ownership.shut,
            },
            "gateway": {
                msg.Since: lambda _, said: self._ownership.learn_since(said.shards),
                msg.Attach: self._gateways.attach,
                msg.Detach: self._gateways.detach,
                msg.Ack: self._gateways.ack,
                msg.Typing: self._gateways.typing,
                msg.Watch: self._gateways.watch,
                msg.Unwatch: self._gateways.unwatch,
                q.Gone: self._gateways.gone,
                **dict.fromkeys(questions, self._gateways.question),
            },
        }

    # --- Service ----------------------------------------------------------------------------------

    async def start(self) -> Address:
        """Listen for links and start the loops."""
        self._writer.start()
        self._server, address = await serve(
            self._settings.listen,
            0,
            self,
            msg.decode_to_host,
            secret=self._secret,
            certificate=self._settings.certificate,
        )
        self._runtime.spawn(self._deadlines.run(), essential=True)
        self._runtime.spawn(self._passivation.run(), essential=True)
        self._runtime.spawn(self._eraser.run(), essential=True)
        self._runtime.spawn(self._sweeper.run(), essential=True)
        self._runtime.spawn(self._sweeper.run_expiry(), essential=True)
        return address

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map: let go of shards that others own now."""
        before = self._shards.shard_map
        if before is not None and shard_map.version < before.version:
            return
        self._log.forget(shard_map.recreated(before))
        if shard_map.renumbered(before):
            self._ownership.give_up_all()
            self._log.renumber()
        self._ownership.take(shard_map)

    async def pause_writes(self) -> None:
        """Append nothing to the log until `resume_writes`."""
        self._writer.hurry()
        await self._log.pause()

    async def resume_writes(self) -> None:
        """Append again."""
        self._log.resume()

    async def status(self) -> dict[str, Any]:
        """Return how many shards, users and streams are here, and what waits to be written."""
        return {
            "shards": len(self._shards.open),
            "users": len(self._residents),
            "streams": len(self._streams),
            "waiting": self._writer.waiting,
            "appended": {topic: self._log.ends(topic) for topic in TOPICS},
            "batches": self._log.batches,
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take what the coordinator tells a host.

        ``hurry``: write now what is collected, since something waits until all is stored.
        ``end_logs``: the logs of some shards are over; the answer says of which it still owes (`end_logs`).
        ``leaving``: it is about to lose its shards, if it was not told so before; ``staying``: it is not;
        ``handover_report``: it has lost and stored everything, and says what became of the entries that no
        device had acknowledged (`Handover.report`; an incarnation that began after ``leaving`` had none).
        ``user``, ``waiting``, ``hot``: an operator looks at users (`Looks`).
        """
        match message.get("act"):
            case "hurry":
                self._writer.hurry()
            case "end_logs":
                return self.end_logs(dict(message["bases"]))
            case "leaving":
                self._handover = self._handover or Handover()
            case "staying":
                self._handover = None
            case "handover_report":
                return await (self._handover or Handover()).report(self._store)
            case "user" | "waiting" | "hot":
                return self._looks.answer(message)
            case other:
                raise RoostError("bad_request", f"A host takes no message {other!r}.")
        return True

    def end_logs(self, bases: dict[int, int]) -> list[int]:
        """See `ShardOwnership.end_logs`."""
        return self._ownership.end_logs(bases)

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.ACTIVE_USERS.set(len(self._residents))
        metrics.ATTACHED_STREAMS.set(len(self._streams))
        metrics.UNACKNOWLEDGED.set(sum(actor.in_flight for _, actor in self._residents.actors()))
        metrics.OLDEST_UNACKNOWLEDGED.set(self._streams.oldest_wait_s())
        looked = [self._reports.look_at(shard) for shard in self._shards.open.values()]
        metrics.UNHANDLED.set(sum(each.unhandled for each in looked))
        metrics.UNSTORED.set(sum(each.unstored for each in looked))
        metrics.UNSTORED_BYTES.set(sum(each.size for each in looked))
        metrics.OLDEST_UNSTORED.set(max((each.age_ms for each in looked), default=0) / 1000)
        for queue in self._writer.queues:
            metrics.WRITES_WAITING.labels(queue.name).set(queue.waiting)
        return metrics.exposition(metrics.WRITER, metrics.HOST)

    async def stop(self) -> list[str]:
        """Write what waits and disconnect; returns what was given up."""
        if self._server is not None:
            self._server.close()
        given_up = await self._writer.stop()
        await self._runtime.stop()
        self._reports.stop()
        self._links.close()
        return given_up

    # --- links ------------------------------------------------------------------------------------

    def opened(self, link: Link) -> None:
        """A router or gateway is there."""
        if link.role not in self._handlers:
            link.refuse(f"a greeting of the role {link.role!r}, which has no business with a host")
            return
        log.info("link_opened", peer_role=link.role, peer=link.name)
        self._links.opened(link)

    def received(self, link: Link, messages: list[Any]) -> None:
        """Turn messages into events; what a router brings is reported on."""
        handlers = self._handlers[link.role]
        for message in messages:
            handler = handlers.get(type(message))
            if handler is None:
                link.refuse(f"a {type(message).__name__}, which is not for a {link.role} to send")
                return
            handler(link, message)
        if link.role == "router":
            self._reports.soon()

    def closed(self, link: Link) -> None:
        """Detach the streams of a gateway that is gone; forget a router."""
        log.info("link_closed", peer_role=link.role, peer=link.name)
        self._links.closed(link)
        self._ownership.closed(link)
        self._gateways.closed(link)

    def _dropped(self, shard: Shard) -> None:
        """Forget the users of a shard that was given up."""
        count = self._shards.count

        def gone(user: str) -> bool:
            return shard_of(user, count) == shard.number

        self._snapshots.outdate(gone)
        self._streams.forget_users(gone)
        for user, actor in self._residents.remove_shard(shard):
            if self._handover is not None:
                self._handover.add(user, actor)
