"""Ray's head as a process of its own: whoever talks to Ray may be ended by it when a daemon dies.

Run as ``python -m cluster.local.ray_head DATA WORKERS DASHBOARD_PORT``. It starts Ray, says its address on
stdout, then takes one JSON request a line on stdin and answers each with one line. It ends when stdin does.
It ends at once, and every process of Ray with it, when one of Ray's daemons is gone. `cluster.local.head` is
the other side.
"""

import asyncio
import json
import logging
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, Final, TextIO

from cluster.folders import short_temp
from cluster.local import runfile
from cluster.local.environment import set_for_libraries
from roost.private_folders import make_closed

COORDINATOR: Final = "coordinator"
PRELOADED: Final = "actors.ray_actor,cluster.wiring"
"""What every role's process loads, before it knows which role that is."""

_LOOK_EVERY_S: Final = 0.5
_LINE: Final = 16 * 1024 * 1024


def prepare_ray(data: Path) -> None:
    """Tell Ray, before it is loaded, whom to trust, and not to phone home."""
    token = runfile.ray_token_in(data)
    if not token.exists() or not token.stat().st_size:  # a full disk may have left it empty
        draft = token.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        draft.replace(token)
    set_for_libraries(
        {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # Ray's 15 would let every other process go before the roles
            "RAY_enable_metrics_collection": "0",
            "RAY_enable_open_telemetry": "0",
            # No one asks for either: every call of an actor would be told to Ray's head, and timed.
            "RAY_task_events_report_interval_ms": "0",
            "RAY_event_stats": "0",
            # Despite its name: every daemon listens on loopback, on Linux, too. Roles on other machines join
            # a cluster that was made with `ray start`.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            # How long Ray's processes look for a head that is gone; nothing starts this one again.
            "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
            # One at a time would be Ray's limit on a node that offers no cores.
            "RAY_worker_maximum_startup_concurrency": "4",
            # The first processes wait for the coordinator, longer than the second that Ray gives them.
            "RAY_idle_worker_killing_time_threshold_ms": "30000",
            "RAY_preload_python_modules": PRELOADED,
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
        }
    )


class _Head:
    """Answers requests about the coordinator."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coordinator: Any = None
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take requests until stdin ends."""
        reader = asyncio.StreamReader(limit=_LINE)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        watching = asyncio.create_task(_watch())
        while line := await reader.readline():
            task = asyncio.create_task(self._answer(json.loads(line)))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        watching.cancel()

    async def _answer(self, request: dict[str, Any]) -> None:
        from actors.ray_actor import RoleAway, RoleFailed  # noqa: PLC0415 -- after `prepare_ray`

        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer["answer"] = await self._carry_out(request)
        except (RoleAway, RoleFailed) as exc:
            answer["away"] = str(exc)
        self.say(answer)

    async def _carry_out(self, request: dict[str, Any]) -> Any:
        from actors.ray_actor import spawn  # noqa: PLC0415 -- after `prepare_ray`

        match request["call"]:
            case "spawn":
                self._coordinator = spawn(COORDINATOR, COORDINATOR, request["settings"], eager=True)
                return True
            case "tell":
                return await self._coordinator.tell(request["message"], request["timeout_s"])
            case _:
                return await self._coordinator.status()

    def say(self, line: dict[str, Any]) -> None:
        """Write one line."""
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


async def _watch() -> None:
    from actors.ray_node import dead_daemons  # noqa: PLC0415 -- after `prepare_ray`

    while True:
        if dead := dead_daemons():
            sys.stderr.write(f"Ray's {', '.join(dead)} is gone; ending with all of Ray.\n")
            sys.stderr.flush()
            os._exit(1)  # Ray's own shutdown would wait for, or abort on, what is gone
        await asyncio.sleep(_LOOK_EVERY_S)


def main() -> None:
    """Start Ray, serve, end Ray."""
    data, workers, dashboard_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    out = os.fdopen(os.dup(1), "w")  # Ray prints on stdout what it likes: that goes to the log
    os.dup2(2, 1)
    prepare_ray(data)
    logging.getLogger("ray").setLevel(logging.ERROR)
    from actors.ray_actor import leave_ray, start_ray  # noqa: PLC0415 -- reads its variables when it is loaded
    from actors.ray_node import UnsuitableRayError  # noqa: PLC0415 -- likewise

    temp = short_temp(data)
    make_closed(temp.parent)  # Ray opens its own folder to everybody
    shutil.rmtree(temp, ignore_errors=True)  # what a killed run left; no one else uses this data folder
    temp.mkdir()
    head = _Head(out)
    try:
        head.say({"address": start_ray(temp, workers, dashboard_port=dashboard_port)})
    except UnsuitableRayError as exc:
        head.say({"unsuitable": str(exc)})
        return
    asyncio.run(head.serve())
    leave_ray()
    shutil.rmtree(temp, ignore_errors=True)


if __name__ == "__main__":
    main()
