"""The verbs ``up`` and ``down`` on an existing Ray cluster: the roles are started, and outlive the command.

The cluster was made with ``ray up`` or ``ray start``. Every machine of it has Roost installed, the key ring
at the same path, and reaches the same Kafka, MongoDB and Redis.
"""

import asyncio
import datetime as dt
import json
import sys
import time
from typing import Any, Final

from cluster import key_ring
from cluster.cli.running_store import operator_name
from cluster.cli.verbs import coordinator
from cluster.control import stop_report
from cluster.doctor import encryption, start
from cluster.doctor.cleartext import cleartext
from cluster.doctor.finding import FAILED
from cluster.doctor.node_certificate import node_certificate
from cluster.log.growth import shards_told
from cluster.settings import Settings
from cluster.supervision.membership import waiting_for
from roost.cli import standard_streams
from roost.cli.terminal import BAD_USAGE, DEPENDENCY_AWAY, DID_NOT_HOLD, DONE, Waiting, complain, say, stopped
from roost.errors import Unavailable
from storage.keyring import KeyRingError

_READY_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.5


async def up(settings: Settings, *, as_json: bool) -> int:
    """Start the roles on the cluster, or find them there; return the exit code once all run."""
    if lacks := _lacks(settings):
        return complain("\n".join(lacks), BAD_USAGE)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        key_ring.make(settings)
    except (KeyRingError, OSError) as exc:
        return complain(f"The data folder {settings.data} cannot be used: {exc}", BAD_USAGE)
    if (refusal := await start.unusable_media(settings, say)) is not None:
        return complain(*refusal)
    return await _brought_up(settings, as_json=as_json)


async def _brought_up(settings: Settings, *, as_json: bool) -> int:
    began = time.monotonic()
    try:
        with coordinator(settings):
            status = await _started(settings)
    except Unavailable as exc:
        return complain(exc.detail, DEPENDENCY_AWAY)
    if status["refused"]:
        return complain(status["refused"], BAD_USAGE)
    if not status["ready"]:
        away = waiting_for(status, "the coordinator")
        return complain(f"Not ready after {_READY_S:g} s: {away}", DEPENDENCY_AWAY)
    _announce(settings, status, time.monotonic() - began, as_json=as_json)
    for sentence in shards_told(settings, status["shards"]):
        say(sentence)
    return DONE


async def down(settings: Settings) -> int:
    """Stop the system on the cluster, in order, and return the exit code."""
    with coordinator(settings) as find_it:
        from actors.ray_actor import RoleFailed  # noqa: PLC0415 -- Ray is joined, and loaded

        handle = find_it()
        say("stopping: no new input; everything in the log is stored first")
        try:
            given_up = await handle.tell(
                {"act": "stop", "kept": True, "by": operator_name()}, stop_report.bound_s(kept=True)
            )
        except (Unavailable, RoleFailed) as exc:
            return complain(
                f"It did not stop in order: {exc} What is not stored is in the log. Try again.",
                DID_NOT_HOLD,
            )
        handle.kill()
    return stopped(given_up)


def _lacks(settings: Settings) -> list[str]:
    """Return what is missing that several machines need, a sentence each."""
    urls = {"kafka": settings.kafka.url, "mongo": settings.mongo.url, "redis": settings.redis.url}
    lacks = [
        f"There is no embedded {server} on a cluster: set ROOST_{server.upper()}__URL."
        for server, url in urls.items()
        if url is None
    ]
    lacks += [f"{each.detail[0].upper()}{each.detail[1:]}. {each.fix}" for each in cleartext(settings)]
    found = node_certificate(settings, dt.datetime.now(dt.UTC))
    if found.state == FAILED:
        lacks.append(f"{found.detail}. {found.fix}")
    lacks += [f"{each.detail}. {each.fix}" for each in encryption.findings(settings) if each.state == FAILED]
    return lacks


async def _started(settings: Settings) -> dict[str, Any]:
    """Make the coordinator on the head, or find it; return its status once it is ready or never will be."""
    from actors.ray_actor import RoleFailed, nodes, spawn  # noqa: PLC0415 -- Ray is joined
    from cluster.local.ray_head import COORDINATOR  # noqa: PLC0415 -- likewise

    head = next((node.id for node in nodes() if node.head), "")
    handle = spawn(COORDINATOR, COORDINATOR, settings.model_dump_json(), eager=True, node_id=head)
    status: dict[str, Any] = {"ready": False, "refused": "", "roles": []}
    waiting = Waiting(_READY_S)
    while not (waiting.over or status["ready"] or status["refused"]):
        await asyncio.sleep(_LOOK_EVERY_S)
        waiting.say(f"waiting for {waiting_for(status, 'the coordinator')}")
        try:
            status = await handle.status()
        except (Unavailable, RoleFailed):
            continue
    return status


def _announce(settings: Settings, status: dict[str, Any], took_s: float, *, as_json: bool) -> None:
    scheme = "http" if settings.tls.certificate is None else "https"
    gateways = sorted({row["node"] for row in status["roles"] if row["role"] == "gateway"})
    urls = [f"{scheme}://{address}:{settings.http.port}" for address in gateways]
    if as_json:
        ready = {
            "ready": True,
            "http": urls,
            "ray": settings.cluster.address,
            "server_name": settings.server_name,
        }
        announced = json.dumps(ready) + "\n"
    else:
        announced = (
            f"Roost is ready after {took_s:.1f} s on {len(status['nodes'])} machines.\n"
            f"  gateways   {', '.join(urls)}\n"
            f"Look at it with: roost status --address {settings.cluster.address}\n"
            f"Stop it with:    roost down --address {settings.cluster.address}\n"
        )
    standard_streams.write(sys.stdout, announced)
