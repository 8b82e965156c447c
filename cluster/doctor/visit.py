"""Every check, in the order in which they are shown; the slow ones at the same time."""

import asyncio
import datetime as dt
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from cluster.doctor import encryption, here, reach, running
from cluster.doctor.cleartext import links, metrics
from cluster.doctor.exposure import judge_exposure, judge_listen, rays_place
from cluster.doctor.finding import Finding, failed, ok
from cluster.doctor.media import media_store
from cluster.doctor.node_certificate import node_certificate
from cluster.doctor.servers import judge_cache, judge_clocks, judge_log, judge_store
from cluster.doctor.web_push import reachable_services, web_push
from cluster.folders import of_another
from cluster.local import passwords, runfile, specs
from cluster.local.runfile import Running
from cluster.local.servers import ServerFailed
from cluster.settings import Kafka, Mongo, Redis, Settings, without_password
from roost.clock import Clock, now_ms
from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.access_denied import AccessDenied
from storage.kafka_log import inspection as log_inspection
from storage.kafka_log.inspection import LogInspection
from storage.mongo import inspection as store_inspection
from storage.mongo.inspection import StoreInspection
from storage.redis import inspection as redis_inspection
from storage.redis.inspection import CacheInspection
from storage.topics import TOPICS

_INSPECTION_S: Final = 12.0
_MAKERS: Final[dict[str, Callable[[Settings], specs.Maker]]] = {
    "kafka": lambda given: specs.broker(given.kafka.embedded, sync=given.kafka.sync),
    "mongo": lambda _: specs.mongo,
    "redis": lambda _: specs.redis,
}
"""Who describes an embedded server, by the settings."""

S = TypeVar("S")


async def examine(settings: Settings, clock: Clock = now_ms) -> list[Finding]:
    """Carry out every check.

    Args:
        settings: As ``roost up`` has them; with a Ray cluster's address in them, that one is asked, else the
            system with the data folder, if one runs.
        clock: This machine's.
    """
    if of_another(settings.data) is not None:
        return [here.versions(), here.folder(settings)]  # the rest would believe what is in there
    address = settings.cluster.address
    found = runfile.read(settings.data)
    urls = _urls(settings, found)
    ring_found, ring = here.key_ring(settings)
    credential, endpoint = here.push_credential(settings)
    asked, door, roles, push, media = await asyncio.gather(
        ask_servers(settings, urls, clock),
        running.front_door(settings, found, ring),
        _crew(settings, found, address),
        _push(settings, endpoint),
        media_store(settings),
    )
    log, store, cache = asked.get("kafka"), asked.get("mongo"), asked.get("redis")
    now = dt.datetime.fromtimestamp(clock() / 1000, dt.UTC)
    findings = [here.versions(), here.folder(settings), here.room(settings), here.open_files()]
    findings += [ring_found, here.certificate(settings, now), node_certificate(settings, now)]
    findings += [each for each in (links(settings), metrics(settings)) if each is not None]
    findings += [*encryption.findings(settings)]
    findings += [credential, *web_push(settings, ring), *push, door, media]
    states = store.states if isinstance(store, StoreInspection) else None
    findings += _judged("kafka", log, settings, lambda each: judge_log(each, settings, states))
    findings += _judged("mongo", store, settings, lambda each: judge_store(each, settings, ring))
    findings += _judged("redis", cache, settings, lambda each: judge_cache(each, settings))
    inspected = {"mongo": store, "redis": cache}
    ahead = {
        name: each.ahead_ms
        for name, each in inspected.items()
        if isinstance(each, StoreInspection | CacheInspection)
    }
    findings += [judge_clocks(ahead), judge_exposure(_open(settings, asked, urls, found, address))]
    listen = judge_listen(settings)
    return [*findings, *([listen] if listen is not None else []), *roles]


async def ask_servers(settings: Settings, urls: Mapping[str, str], clock: Clock = now_ms) -> dict[str, Any]:
    """Return the inspection of each of these servers, by its name; ``Unavailable`` where there is none."""
    mongo = settings.mongo
    questions: dict[str, Callable[[str, Access], Awaitable[Any]]] = {
        "kafka": lambda url, access: log_inspection.inspect(url, TOPICS, access),
        "mongo": lambda url, access: store_inspection.inspect(
            url, mongo.database, mongo.driver, clock, access
        ),
        "redis": lambda url, access: redis_inspection.inspect(url, clock, access),
    }

    async def asked(name: str, url: str) -> Any:
        try:
            access = _access(settings, name)
        except OSError as exc:
            return AccessDenied(f"The password for {name} cannot be read: {exc}.")
        found = await _answer(name, questions[name](url, access))
        if isinstance(found, Unavailable) and not isinstance(found, AccessDenied):
            # The drivers do not tell what is wrong with a certificate.
            why = await reach.failure(name, url, access)
            return found if why is None else Unavailable(f"{name} cannot be reached: {why}.")
        return found

    answers = await asyncio.gather(*(asked(name, url) for name, url in urls.items()))
    return dict(zip(urls, answers, strict=True))


def _access(settings: Settings, name: str) -> Access:
    """Return what a client of this server needs: one of the operator's own, or an embedded one."""
    group: Kafka | Mongo | Redis = getattr(settings, name)
    if group.url is not None:
        return group.security.access()
    if name == "kafka" and not passwords.file_of(settings.data, name).exists():
        return OPEN  # Tansu knows neither password nor TLS
    return passwords.security(settings, name).access()


def _urls(settings: Settings, found: Running | None) -> dict[str, str]:
    """Return the addresses of servers: the operator's own, and those of running embedded ones."""
    urls = {
        name: getattr(settings, name).url or (getattr(found, name) if found is not None else None)
        for name in _MAKERS
    }
    return {name: url for name, url in urls.items() if url is not None}


async def _answer(name: str, inspection: Awaitable[S]) -> "S | Unavailable":
    """Return the inspection, or why there is none."""
    try:
        async with asyncio.timeout(_INSPECTION_S):
            return await inspection
    except Unavailable as exc:
        return exc
    except TimeoutError:
        return Unavailable(f"{name} does not answer within {_INSPECTION_S:g} s.")


def credentials_fix(name: str) -> str:
    """Return what to do about a server that denies access."""
    group = f"ROOST_{name.upper()}__SECURITY"
    fix = (
        f"Set {group}__USER and {group}__PASSWORD_FILE to a user that it takes, and a file with the password"
    )
    return f"{fix}." if name == "kafka" else f"{fix}; or correct those in ROOST_{name.upper()}__URL."


def _judged(
    name: str, found: Any, settings: Settings, judge: Callable[[Any], Iterator[Finding]]
) -> Iterator[Finding]:
    variable = f"ROOST_{name.upper()}__URL"
    if found is None:
        yield _embedded(name, settings)
    elif isinstance(found, AccessDenied):
        yield failed(name, found.detail, credentials_fix(name))
    elif isinstance(found, Unavailable):
        url = without_password(getattr(settings, name).url)
        fix = (
            f"Start it, let this machine reach {url}, or correct {variable} (or --{name})."
            if url is not None
            else f"See {settings.data}/{name}.log; it is started again by itself."
        )
        yield failed(name, found.detail, fix)
    else:
        yield from judge(found)


def _embedded(name: str, settings: Settings) -> Finding:
    """Whether the server could be started."""
    own = f"ROOST_{name.upper()}__URL"
    if settings.cluster.address is not None:
        return failed(name, "embedded servers are for one machine", f"Set {own} to a {name} of your own.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = _MAKERS[name](settings)(0, Path(folder))
    except ServerFailed as exc:
        return failed(name, str(exc), f"Run: pip install 'roost[embedded]'; or set {own}.")
    return ok(name, f"embedded, not running; it will be {found.argv[0]}")


async def _crew(settings: Settings, found: Running | None, address: str | None) -> list[Finding]:
    if found is None and address is None:
        return []
    return await running.roles(settings, None if found is not None else address)


async def _push(settings: Settings, endpoint: str) -> list[Finding]:
    if not endpoint and settings.cluster.address is None:
        return []
    fcm = [await running.reachable(endpoint)] if endpoint else []
    return fcm + await reachable_services(settings, endpoint)


def _open(
    settings: Settings,
    asked: Mapping[str, Any],
    urls: Mapping[str, str],
    found: Running | None,
    address: str | None,
) -> Iterator[tuple[str, str]]:
    """Yield name and place of everything that serves who brings no password."""
    log, store, cache = asked.get("kafka"), asked.get("mongo"), asked.get("redis")
    if isinstance(log, LogInspection) and _asks_no_one(_access(settings, "kafka")):
        yield from (("kafka", place) for place in log.brokers)
    if isinstance(store, StoreInspection) and store.open:
        yield from (("mongo", place) for place in _places(urls.get("mongo"), 27017))
    if isinstance(cache, CacheInspection) and cache.open:
        yield from (("redis", place) for place in _places(urls.get("redis"), 6379))
    yield from rays_place(found.ray if found is not None else address)


def _asks_no_one(access: Access) -> bool:
    """Return whether a Kafka that serves us so serves everyone: it is reached with proof, or not at all."""
    return access.user is None and access.certificate is None


def _places(url: str | None, port: int) -> list[str]:
    """Return each ``host:port`` of a URL."""
    hosts = (url or "").partition("://")[2].partition("/")[0].rpartition("@")[2].split(",")
    return [each if ":" in each.rpartition("]")[2] else f"{each}:{port}" for each in hosts if each]
