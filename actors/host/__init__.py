"""The host: the shell around the user actors of its shards.

Data walks one way: a message comes in over a link, becomes an event in its user's inbox, the actor
turns it into effects, and the effects leave over links or through the writer. A user whose actor
must be loaded, or whose event lacks a fact, waits with its inbox; everybody else goes on.
"""

import asyncio
from typing import Any

import structlog

from actors.host.inboxes import Inboxes
from actors.host.ledger import Ledger
from actors.host.links import FromLinks
from actors.host.reports import Reports
from actors.host.state import HostSettings
from actors.host.time import Time
from actors.rpc import messages as msg
from actors.rpc.link import Link, serve
from actors.service import Address
from roost.errors import RoostError
from storage.topics import TOPICS
from telemetry import metrics

__all__ = ["ActorHost", "HostSettings"]

log = structlog.get_logger()


class ActorHost(Inboxes, FromLinks, Time):
    """Hosts the actors of the shards that routers open here; see `actors.service.Service`."""

    async def start(self) -> Address:
        """Listen for links and start the loops."""
        self._writer.start()
        self._server, address = await serve(
            self._settings.listen, 0, self, msg.decode_to_host, secret=self._secret
        )
        self._reports = Reports(self._shards, self._gateways, self._clock)
        self._spawn(self._keep_time())
        self._spawn(self._passivate())
        return address

    async def hold(self) -> None:
        """Append nothing to the log until `release`."""
        self._writer.hurry()
        await self._log.pause()

    async def release(self) -> None:
        """Append again."""
        self._log.resume()

    async def status(self) -> dict[str, Any]:
        """Return how many shards, users and streams are here, and what waits to be written."""
        return {
            "shards": len(self._shards),
            "users": len(self._residents),
            "streams": len(self._outlets.streams),
            "waiting": self._writer.waiting,
            "appended": {topic: self._log.ends(topic) for topic in TOPICS},
            "batches": self._log.batches,
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Take what the coordinator tells a host.

        ``hurry``: write now what is collected; somebody waits until all is stored.
        ``end_logs``: the logs of some shards are over; the answer says of which it still owes (`end_logs`).
        ``leaving``: it is about to lose its shards, if it was not told so before; ``staying``: it is not;
        ``farewell``: it has lost and stored everything, and says what became of the entries that nobody had
        acknowledged (`Ledger.settle`; a life that began after ``leaving`` had none).
        """
        match message.get("act"):
            case "hurry":
                self._writer.hurry()
            case "end_logs":
                return self.end_logs(dict(message["bases"]))
            case "leaving":
                self._ledger = self._ledger or Ledger()
            case "staying":
                self._ledger = None
            case "farewell":
                return await (self._ledger or Ledger()).settle(self._store)
            case other:
                raise RoostError("bad_request", f"A host takes no message {other!r}.")
        return True

    async def metrics(self) -> bytes:
        """Return this process's metrics."""
        metrics.ACTIVE_USERS.set(len(self._residents))
        metrics.ATTACHED_STREAMS.set(len(self._outlets.streams))
        metrics.UNACKNOWLEDGED.set(self._unacknowledged())
        metrics.OLDEST_UNACKNOWLEDGED.set(self._outlets.oldest_wait_s())
        looked = [self._reports.look_at(shard) for shard in self._shards.values()]
        metrics.UNHANDLED.set(sum(each.unhandled for each in looked))
        metrics.UNSTORED.set(sum(each.unstored for each in looked))
        metrics.UNSTORED_BYTES.set(sum(each.size for each in looked))
        metrics.OLDEST_UNSTORED.set(max((each.age_ms for each in looked), default=0) / 1000)
        for queue, waiting in self._writer.queues().items():
            metrics.WRITES_WAITING.labels(queue).set(waiting)
        return metrics.exposition(metrics.WRITER, metrics.HOST)

    def _unacknowledged(self) -> int:
        """Return how many entries are in flight to attached devices."""
        actors = (resident.actor for resident in self._residents.values() if resident.actor is not None)
        return sum(actor.in_flight for actor in actors)

    async def stop(self) -> list[str]:
        """Write what waits and disconnect; returns what was given up."""
        if self._server is not None:
            self._server.close()
        given_up = await self._writer.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reports.stop()
        self._outlets.close()
        for link in set(self._routers.values()):
            link.close()
        return given_up

    def received(self, link: Link, messages: list[Any]) -> None:
        """Turn messages into events; what a router brings is reported on."""
        super().received(link, messages)
        if link.role == "router":
            self._reports.soon()
