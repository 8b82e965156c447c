"""``run.json`` in the data folder: how the other verbs find a system that runs on this machine.

``stopped.json`` takes its place when it has stopped, and says how that went.
"""

import os
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from cluster.local import data_lock
from roost.errors import Unavailable

_SAME_START_S = 1.0


class Running(Struct, frozen=True):
    """A running system.

    Attributes:
        pid: Process id of ``roost up``.
        started: When that process was created, in seconds: another process may get the same id later.
        ray: Address of the Ray cluster.
        http: Address of the API.
        kafka: Addresses of the log's brokers.
        mongo: Address of the store, without a password.
        redis: Address of the cache, without a password.
        fcm: Address of the embedded FCM endpoint, None if pushes go to Google.
        data: The data folder.
        server_name: The name in users' addresses.
        metrics: Where this node's metrics are, None if nowhere.
    """

    pid: int
    started: float
    ray: str
    http: str
    kafka: str
    mongo: str
    redis: str
    fcm: str | None
    data: str
    server_name: str
    metrics: str | None = None

    def process(self) -> psutil.Process | None:
        """Return the process if it is still the one that wrote this."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < _SAME_START_S:
                return process
        except psutil.NoSuchProcess:
            return None
        return None


def path_in(data: Path) -> Path:
    """Return where the file is."""
    return data / "run.json"


def ray_token_in(data: Path) -> Path:
    """Return where the secret is that Ray's own processes prove to each other."""
    return data / "ray.token"


def write(running: Running) -> None:
    """Write the file."""
    data = Path(running.data)
    _stopped_in(data).unlink(missing_ok=True)
    _put(path_in(data), running)


def _put(path: Path, what: Struct) -> None:
    """Write the file so that it is there whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(what), indent=2) + b"\n")
    draft.replace(path)


class Stopped(Struct, frozen=True):
    """How a stop went.

    Attributes:
        pid: Process id of the ``roost up`` that stopped.
        given_up: What it had to give up, a sentence each; nothing if all is well.
    """

    pid: int
    given_up: list[str]


def end(data: Path, given_up: list[str]) -> None:
    """Say that nothing runs here any more, and what was given up."""
    _put(_stopped_in(data), Stopped(os.getpid(), given_up))
    path_in(data).unlink(missing_ok=True)


def stopped(data: Path, pid: int) -> Stopped | None:
    """Return how the stop of this process went, None if it did not say."""
    try:
        found = msgspec.json.decode(_stopped_in(data).read_bytes(), type=Stopped)
    except (FileNotFoundError, ValueError):
        return None
    return found if found.pid == pid else None


def _stopped_in(data: Path) -> Path:
    return data / "stopped.json"


def read(data: Path) -> Running | None:
    """Return what runs with this data folder, None if nothing does (any more)."""
    try:
        running = msgspec.json.decode(path_in(data).read_bytes(), type=Running)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return running if running.process() is not None else None


def found(data: Path) -> Running:
    """Return what runs with this data folder.

    Raises:
        Unavailable: Nothing does, or not yet.
    """
    running = read(data)
    if running is None and (process := data_lock.holder(data)) is not None:
        raise Unavailable(
            f"The system with the data folder {data} (process {process.pid}) is still starting, or about to "
            "end. Ask again in a moment."
        )
    if running is None:
        raise Unavailable(f"Nothing runs with the data folder {data}. Start it with: roost up --data {data}")
    return running
