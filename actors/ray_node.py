"""Ray's head on this machine, with the daemons that actors need and no others.

``ray.init`` would start a dashboard, an autoscaler, a log monitor and two agents as well, and has no switch
to leave them out. ``Node`` is what it is made of, and private: `start` first looks whether this is the Ray
that is expected here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import ray
from ray import _raylet
from ray._private import services
from ray._private.node import Node
from ray._private.parameter import RayParams

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
"""Ray's least; nothing of ours goes through its object store."""

SUPPORTED: Final = "2.60"
"""Version of Ray whose private parts are used here, as in ``pyproject.toml``."""

_WORKERS: Final = "--num_prestart_python_workers="
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


class UnsuitableRayError(RuntimeError):
    """The Ray that is installed cannot be started in this way."""


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
        for name in _AGENT_PORTS:
            port = getattr(_raylet, name)
            _raylet.persist_port(  # type: ignore[attr-defined]  # not in its stub
                self._session_dir, self._node_id, port, _NO_PORT
            )
        options = {_WORKERS: str(self.workers)} | dict.fromkeys(_AGENTS, " ")
        return changed_command(command, options)


def changed_command(command: Sequence[str], options: dict[str, str]) -> list[str]:
    """Return the command with other values of these options.

    Raises:
        UnsuitableRayError: It has not every one of them.
    """
    changed = [argument.partition("=")[0] + "=" for argument in command]
    if missing := options.keys() - set(changed):
        raise _unsuitable(f"its raylet takes no {', '.join(sorted(missing))}")
    return [
        option + options[option] if option in options else argument
        for option, argument in zip(changed, command, strict=True)
    ]


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


def check() -> None:
    """Look whether Ray has what is used here.

    Raises:
        UnsuitableRayError: It is another version, or lacks some of it.
    """
    if not ray.__version__.startswith(f"{SUPPORTED}."):
        raise _unsuitable("its private parts may have changed")
    needed: dict[Any, tuple[str, ...]] = {
        services: ("start_ray_process",),
        Node: ("start_api_server", "start_raylet", "dead_processes", "kill_all_processes", "gcs_address"),
        _raylet: ("persist_port", *_AGENT_PORTS),
    }
    for owner, names in needed.items():
        if missing := [name for name in names if not hasattr(owner, name)]:
            raise _unsuitable(f"its {owner.__name__} lacks {', '.join(missing)}")


def _unsuitable(why: str) -> UnsuitableRayError:
    return UnsuitableRayError(
        f"Roost starts Ray {SUPPORTED} by private parts of it; this is Ray {ray.__version__}, and {why}. "
        f"Install the version that Roost asks for: pip install 'ray=={SUPPORTED}.*'"
    )


def start(temp: Path, workers: int, *, dashboard_port: int = 0) -> str:
    """Start the daemons and return the cluster's address; they end with the thread that calls this.

    Args:
        temp: Folder for sockets; short, since a socket's path has at most 107 bytes.
        workers: How many processes to start at once, for actors that will soon be made.
        dashboard_port: TCP port of the dashboard on loopback; 0: none.

    Raises:
        UnsuitableRayError: See `check`.
    """
    check()
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
    """Return which of the daemons that `start` started are no longer there."""
    return [name for node in _own for name, _ in node.dead_processes()]  # type: ignore[no-untyped-call]


def end() -> None:
    """End the daemons, if there are any."""
    while _own:
        _own.pop().kill_all_processes(check_alive=False, allow_graceful=True)
