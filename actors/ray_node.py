"""Ray's head on this machine, with the daemons that actors need and no others.

``ray.init`` would start a dashboard, an autoscaler, a log monitor and two agents as well, and has no switch
to leave them out. ``Node`` is what it is made of, and what is done to it here hangs on Ray's version.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ray
import structlog
from ray import _raylet
from ray._private import services
from ray._private.node import Node
from ray._private.parameter import RayParams

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
"""Ray's least; nothing of ours goes through its object store."""

_TRIED: Final = ("2.60.",)
"""Versions of Ray whose raylet is known to run without its agents."""

_AGENTS: Final = ("--dashboard_agent_command=", "--runtime_env_agent_command=")
_AGENT_PORTS: Final = (
    "METRICS_AGENT_PORT_NAME",
    "METRICS_EXPORT_PORT_NAME",
    "DASHBOARD_AGENT_LISTEN_PORT_NAME",
    "RUNTIME_ENV_AGENT_PORT_NAME",
)
_WORKER: Final = Path(__file__).with_name("worker.py")
_NO_PORT: Final = -1
"""What an agent writes down that could not listen."""

log = structlog.get_logger()


class _QuietNode(Node):
    """Ray's head without its agents, without its dashboard unless it is wanted, and with the first workers.

    Nothing here has a runtime environment, and each of the three takes a second of CPU at the start and
    50-110 MB.
    """

    workers = 0

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Start the dashboard if it is wanted, and no API server without one."""
        if include_dashboard:
            super().start_api_server(include_dashboard=include_dashboard, raise_on_failure=raise_on_failure)

    def start_raylet(self, *arguments: Any, **named: Any) -> None:
        """Start the raylet by a command that is changed as `_changed` says."""
        with _process_started_by(self._changed):
            super().start_raylet(*arguments, **named)

    def _changed(self, command: Sequence[str]) -> list[str]:
        """Return the raylet's command with as many first workers as wanted, and without agents.

        The raylet insists on a command for each agent and takes a blank for none. It then waits for files in
        which the agents say their ports: they are there already.
        """
        changed = {"--num_prestart_python_workers=": str(self.workers)}
        if ray.__version__.startswith(_TRIED):
            changed |= dict.fromkeys(_AGENTS, " ")
            for name in _AGENT_PORTS:
                port = getattr(_raylet, name)
                _raylet.persist_port(  # type: ignore[attr-defined]  # not in its stub
                    self._session_dir, self._node_id, port, _NO_PORT
                )
        else:
            log.warning("ray_agents_kept", version=ray.__version__, tried=_TRIED)
        return [_replaced(argument, changed) for argument in command]


def _replaced(argument: str, changed: dict[str, str]) -> str:
    for option, value in changed.items():
        if argument.startswith(option):
            return option + value
    return argument


@contextmanager
def _process_started_by(change: Any) -> Iterator[None]:
    """Have the command of the process that is started inside the block changed."""
    start = services.start_ray_process
    services.start_ray_process = lambda command, *rest, **named: start(change(command), *rest, **named)
    try:
        yield
    finally:
        services.start_ray_process = start


_own: list[_QuietNode] = []


def start(temp: Path, workers: int, *, dashboard_port: int = 0) -> str:
    """Start the daemons and return the cluster's address; they end with the thread that calls this.

    Args:
        temp: Folder for sockets; short, since a socket's path has at most 107 bytes.
        workers: How many processes to start at once, for actors that will soon be made.
        dashboard_port: TCP port of the dashboard on loopback; 0: none.
    """
    parameters = RayParams(
        num_cpus=0,
        num_gpus=0,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=dashboard_port > 0,
        dashboard_host="127.0.0.1",
        dashboard_port=dashboard_port or None,  # type: ignore[arg-type]  # declared a bool, used as a port
        include_log_monitor=False,  # type: ignore[arg-type]  # declared a str, used as a bool
        no_monitor=True,
        temp_dir=str(temp),
        worker_path=str(_WORKER),
    )
    _QuietNode.workers = workers
    node = _QuietNode(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True)
    _own.append(node)
    address: str = node.gcs_address
    return address


def dead_daemons() -> list[str]:
    """Return which of the daemons that `start` started are not there any more."""
    return [name for node in _own for name, _ in node.dead_processes()]  # type: ignore[no-untyped-call]


def end() -> None:
    """End the daemons, if there are any."""
    while _own:
        _own.pop().kill_all_processes(check_alive=False, allow_graceful=True)
