"""``run.json`` in the data folder: how the other verbs find a system that runs on this machine."""

from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

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
    """Write the file so that it is there whole or not at all."""
    path = path_in(Path(running.data))
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(running), indent=2) + b"\n")
    draft.replace(path)


def remove(data: Path) -> None:
    """Say that nothing runs here any more."""
    path_in(data).unlink(missing_ok=True)


def read(data: Path) -> Running | None:
    """Return what runs with this data folder, None if nothing does (any more)."""
    try:
        running = msgspec.json.decode(path_in(data).read_bytes(), type=Running)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return running if running.process() is not None else None


def found(data: Path) -> Running:
    """Return what runs with this data folder.

    Raises:
        Unavailable: Nothing does.
    """
    running = read(data)
    if running is None:
        raise Unavailable(f"Nothing runs with the data folder {data}. Start it with: roost up --data {data}")
    return running
