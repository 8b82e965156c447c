"""The handle of Ray's head process (`cluster.local.ray_head`): start, questions to the coordinator, end."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cluster.control import stop_report
from cluster.local.ray_tls import ray_tls
from cluster.settings import Cluster, Node
from roost.child_supervision import tied
from roost.errors import Unavailable
from roost.own_packages import program

_START_S: Final = 120.0
_LOG_END: Final = 2_000
_ASK_S: Final = 5.0
_END_S: Final = 15.0
_LINE: Final = 16 * 1024 * 1024
_NO_NODE: Final = Node()


class RayHead:
    """One head process. It dies with us, and every process of Ray's with it.

    Args:
        data: The data folder.
        cluster: How many processes to start before anyone asks for them (one for each role there will be),
            and where Ray's dashboard is.
        held: Descriptors that are kept open until the last process of Ray's has ended.
        node: The node's certificate: with one, Ray's processes speak TLS.

    Attributes:
        address: Of the Ray cluster, once started.
    """

    def __init__(self, data: Path, cluster: Cluster, held: Sequence[int] = (), node: Node = _NO_NODE) -> None:
        self.address = ""
        self._data, self._cluster, self._held, self._node = data, cluster, held, node
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Start it and return the address of the Ray cluster.

        Raises:
            Unavailable: It did not come up; ``logs/ray.log`` says why.
        """
        log = self._data / "logs" / "ray.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *tied(*(f"{name}={value}" for name, value in ray_tls(self._node).items()), reap=True),
                *(*program("cluster.local.ray_head"), str(self._data)),
                *map(str, (self._cluster.roles, self._cluster.dashboard_port)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                pass_fds=self._held,
                cwd=log.parent,  # Ray has its workers import from it: no folder of anyone's code
                start_new_session=True,  # Ctrl-C is for us; Ray is ended in order
                limit=_LINE,
            )
        try:
            async with asyncio.timeout(_START_S):
                first = json.loads(await self._lines().readline())
        except TimeoutError as exc:
            await self.end()
            raise Unavailable(
                f"Ray did not start within {_START_S:.0f} s: this machine is too busy, or short of memory."
            ) from exc
        except ValueError as exc:
            await self.end()
            end = log.read_text(errors="replace")[-_LOG_END:]
            raise Unavailable(f"Ray did not start. The end of {log}:\n{end}") from exc
        if "unsuitable" in first:
            await self.end()
            raise Unavailable(first["unsuitable"])
        self.address = first["address"]
        self._reading = asyncio.create_task(self._read(), name="ray head")
        return self.address

    async def spawn(self, settings_json: str) -> None:
        """Make the coordinator, or find the living one."""
        await self._ask({"call": "spawn", "settings": settings_json}, _START_S)

    async def status(self) -> dict[str, Any]:
        """Return the coordinator's status.

        Raises:
            Unavailable: It, or Ray, is away.
        """
        found: dict[str, Any] = await self._ask({"call": "status"}, _ASK_S)
        return found

    async def tell(self, message: dict[str, Any]) -> Any:
        """Tell the coordinator something; raises as `status` does."""
        return await self._ask({"call": "tell", "message": message, "timeout_s": _ASK_S}, _ASK_S)

    async def stop_roles(self, *, kept: bool) -> list[str]:
        """Have the coordinator stop every role in order; returns what was given up, raises as `status` does.

        Args:
            kept: The log keeps what is not stored.
        """
        within_s = stop_report.bound_s(kept=kept)
        message = {"act": "stop", "kept": kept}
        given_up: list[str] = await self._ask(
            {"call": "tell", "message": message, "timeout_s": within_s}, within_s
        )
        return given_up

    async def wait(self) -> int:
        """Return when the process is gone, with all of Ray."""
        assert self._process is not None  # noqa: S101 -- started
        return await self._process.wait()

    async def end(self, within_s: float = _END_S) -> bool:
        """End Ray; returns whether that took force, because it took too long. Idempotent."""
        forced = False
        if self._process is None:
            return forced
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            forced = True
            self._process.terminate()
            await self._process.wait()
        if self._reading is not None:
            await self._reading
        return forced

    async def _ask(self, request: dict[str, Any], timeout_s: float) -> Any:
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            raise Unavailable("Ray is not running.")
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(request | {"id": number}).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as exc:
            raise Unavailable("The coordinator is not responding.") from exc
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        while line := await self._lines().readline():
            found = json.loads(line)
            future = self._waiting.get(found["id"])
            if future is None or future.done():
                continue
            if "away" in found:
                future.set_exception(Unavailable(found["away"]))
            else:
                future.set_result(found["answer"])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("Ray is not running."))

    def _lines(self) -> asyncio.StreamReader:
        assert self._process is not None  # noqa: S101 -- started
        assert self._process.stdout is not None  # noqa: S101 -- it is a pipe
        return self._process.stdout
