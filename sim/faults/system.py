"""The system that faults happen to: one of our own, or one that runs already.

Our own is ``roost up`` as a child. Where the schedule breaks the network, the servers underneath are
started here with a proxy in front of each, and ``roost up`` is given the proxies' addresses; where it
fills the disk, the data folder is a small file system of its own.
"""

import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from msgspec import Struct

from cluster.local import runfile
from cluster.local.embedded import Embedded
from roost.errors import Unavailable
from roost.tls import client_context
from sim.faults.canary import Canary
from sim.faults.disk import Disk, NoDisk
from sim.faults.launch import behind, proxied, up
from sim.faults.profiles import PROFILES, Need
from sim.faults.proxy import Proxy
from sim.faults.schedule import Strike
from sim.faults.watch import Watch

_ANSWER: Final = aiohttp.ClientTimeout(total=3)


class CannotStrike(ValueError):  # noqa: N818 -- named for what happened
    """This system does not offer what the faults need; the sentence says what is missing."""


class Usage(Struct, frozen=True):
    """What the processes of a role have cost.

    Attributes:
        cpu_s: CPU time so far, in seconds.
        memory: Private memory now, in bytes.
    """

    cpu_s: float
    memory: int


class System:
    """A running Roost, and what faults need of it.

    Attributes:
        http: Base URL of the API.
        data: The data folder; None: it is not known, so no process can be found.
        fcm: Base URL of the embedded push endpoint, None if there is none.
        ready: What ``roost up --json`` printed; of an attached system what is known of it.
        proxies: By server: kafka, mongo, redis; empty where there are none.
        disk: The data folder's own file system, None if it has none.
        watch: What ``roost status`` says, all the time; None without a data folder.
        servers: The servers underneath, if they were started here.
    """

    def __init__(self, ready: Mapping[str, Any], data: Path | None, ca: Path | None = None) -> None:
        self.ready, self.data = dict(ready), data
        self.http: str = self.ready["http"]
        self.fcm: str | None = self.ready.get("fcm")
        self.proxies: dict[str, Proxy] = {}
        self.disk: Disk | None = None
        self.watch: Watch | None = None
        self.servers: Embedded | None = None
        self._canary: Canary | None = None
        trusted = client_context(ca) if ca is not None else True
        connector = aiohttp.TCPConnector(ssl=trusted)
        self._session = aiohttp.ClientSession(timeout=_ANSWER, connector=connector)

    async def begin(self) -> None:
        """Begin to follow its status, and make the accounts that `trouble` tries it with.

        Raises:
            RoostError: It makes no accounts.
        """
        if self.data is not None:
            self.watch = Watch(self.data)
        self._canary = await Canary.hatch(self.http, self._session)

    async def close(self) -> None:
        """Ask no more."""
        if self.watch is not None:
            await self.watch.close()
        await self._session.close()

    @property
    def offers(self) -> frozenset[Need]:
        """What faults may need and this system has."""
        found: dict[Need, bool] = {
            "processes": self.data is not None,
            "proxies": bool(self.proxies),
            "fcm": self.fcm is not None,
            "disk": self.disk is not None,
        }
        return frozenset(need for need, there in found.items() if there)

    async def rows(self) -> list[dict[str, Any]]:
        """Return the rows of ``roost status`` of now, none while it does not answer; with our own servers."""
        if self.watch is None:
            return []
        rows: list[dict[str, Any]] = (await self.watch.next())["roles"]
        return rows + (self.servers.rows() if self.servers is not None and rows else [])

    async def trouble(self) -> str:
        """Return '' if all is well, else what is not.

        All is well when every role and server runs, the API says that it is ready, and a message that is
        sent now is stored.
        """
        if self.watch is not None:
            rows = await self.rows()
            roles = [row for row in rows if row["role"] != "spare"]  # nothing waits for one
            away = [row["name"] for row in roles if row["state"] != "running" or not row.get("pid")]
            if away or not rows:
                return f"away: {', '.join(away) or 'the coordinator'}"
        return await self._readiness() or (await self._canary.sings() if self._canary is not None else "")

    async def _readiness(self) -> str:
        try:
            async with self._session.get(f"{self.http}/readyz") as answer:
                document = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            return f"the API does not answer ({type(exc).__name__})"
        return "" if document.get("ready") else f"not ready: {document.get('checks')}"

    async def pushes(self) -> list[dict[str, Any]]:
        """Return what the embedded push endpoint received; nothing where there is none, or it is away."""
        if self.fcm is None:
            return []
        try:
            async with self._session.get(f"{self.fcm}/pushes") as answer:
                found: list[dict[str, Any]] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError):
            return []

    async def behave(self, mode: str, seconds: float | None = None) -> None:
        """Tell the embedded push endpoint how to answer.

        Raises:
            Unavailable: It does not answer.
        """
        wanted: dict[str, Any] = {"mode": mode, "retry_after_s": seconds}
        try:
            async with self._session.post(f"{self.fcm}/behaviour", json=wanted) as answer:
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise Unavailable(f"The push endpoint {self.fcm} does not answer.") from exc

    def usage(self) -> dict[str, Usage]:
        """Return the cost of each role's processes, as far as they are known."""
        found: dict[str, list[int]] = defaultdict(list)
        for row in (*self.watch.rows, *(self.servers.rows() if self.servers else ())) if self.watch else ():
            if row.get("pid"):
                found[row["role"]].append(row["pid"])
        return {role: _cost(pids) for role, pids in found.items()}


@asynccontextmanager
async def system(
    strikes: Sequence[Strike] = (),
    *,
    options: Sequence[str] = (),
    data: Path | None = None,
    ca: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[System]:
    """Run a system of our own that offers what the strikes need; it is stopped in order at the end.

    Args:
        strikes: What is to happen to it.
        options: More options of ``roost up``, for example ``--hosts 2``.
        data: Its data folder; None: a temporary one, removed at the end.
        ca: PEM file of the CA that its certificate is of, if that is a private one.
        env: More variables for it.

    Raises:
        CannotStrike: This machine does not offer what the strikes need.
        Unavailable: It did not become ready; the end of what it said is in the sentence.
        ServerFailed: A server did not come up.
    """
    needs = needed(strikes)
    async with AsyncExitStack() as stack:
        folder = _folder(stack, data)
        disk = await _mounted(stack, folder) if "disk" in needs else None
        proxies: dict[str, Proxy] = {}
        embedded, more, variables = None, list[str](), dict(env or {})
        if "proxies" in needs:
            embedded, proxies = await stack.enter_async_context(proxied(folder))
            more, hidden = behind(folder, proxies)
            variables |= hidden
        ready = await stack.enter_async_context(up(folder, [*options, *more], variables))
        found = System(ready, folder, ca)
        stack.push_async_callback(found.close)
        found.proxies, found.disk, found.servers = proxies, disk, embedded
        _check(found, strikes)
        await found.begin()
        yield found


@asynccontextmanager
async def attached(
    url: str, strikes: Sequence[Strike] = (), *, data: Path | None = None, ca: Path | None = None
) -> AsyncIterator[System]:
    """Use a system that runs already.

    Args:
        url: Base URL of its API.
        strikes: What is to happen to it.
        data: Its data folder, if it runs on this machine; without, its processes cannot be found.
        ca: PEM file of the CA that its certificate is of, if that is a private one.

    Raises:
        CannotStrike: It does not offer what the strikes need.
        Unavailable: Nothing runs with this data folder.
    """
    running = runfile.found(data.absolute()) if data is not None else None  # noqa: ASYNC240 -- asks no disk
    known: dict[str, Any] = {"http": url.rstrip("/"), "fcm": running.fcm if running is not None else None}
    found = System(known, Path(running.data) if running is not None else None, ca)
    try:
        _check(found, strikes)
        await found.begin()
        yield found
    finally:
        await found.close()


def needed(strikes: Sequence[Strike]) -> frozenset[Need]:
    """Return what a system must offer for these strikes."""
    return frozenset(need for strike in strikes for need in PROFILES[strike.name].needs)


_MISSING: Final[Mapping[Need, str]] = {
    "processes": "needs the data folder of a system on this machine: give --data DIR",
    "proxies": "needs proxies between the parts: let the simulation start the system, without --server",
    "fcm": "needs the embedded push endpoint: let the simulation start the system, or give --data DIR",
    "disk": "needs a data folder on a file system of its own: let the simulation start the system, as root",
}


def _check(found: System, strikes: Sequence[Strike]) -> None:
    for strike in strikes:
        for need in sorted(PROFILES[strike.name].needs - found.offers):
            raise CannotStrike(f"The fault {strike.name} {_MISSING[need]}.")


async def _mounted(stack: AsyncExitStack, folder: Path) -> Disk:
    try:
        disk = await Disk.mount(folder)
    except NoDisk as exc:
        raise CannotStrike(f"The fault full-disk cannot be done here: {exc}") from exc
    stack.push_async_callback(disk.unmount)
    return disk


def _folder(stack: AsyncExitStack, data: Path | None) -> Path:
    folder = data.absolute() if data is not None else None
    if folder is None:
        made = tempfile.TemporaryDirectory(prefix="roost-sim-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made)) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cost(pids: Sequence[int]) -> Usage:
    cpu, memory = 0.0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            memory += process.memory_full_info().uss
        except psutil.Error:
            continue  # it was killed a moment ago
        cpu += times.user + times.system
    return Usage(cpu, memory)
