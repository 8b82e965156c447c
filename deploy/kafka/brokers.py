"""Apache Kafka on this machine: one broker, or three, as child processes.

Run as ``python deploy/kafka/brokers.py --count 3``, or take ``prepare`` from a test. The jars are fetched
with Maven, once for each version; the brokers run in KRaft mode, each of them a controller, too. They
listen on loopback only and die with the process that started them. For trying and testing: heaps are
small, a broker that is gone is given up after `SESSION_MS`, not after Kafka's 9 seconds, and records go
soon after their retention, not within five minutes.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from cluster.local.servers import HOST, Server, ServerFailed, ServerSpec, accepts, free_port, start

CURRENT: Final = "4.3.1"
"""The version that is run unless another is asked for."""

SESSION_MS: Final = 3_000
"""Milliseconds without a sign of life after which the controller moves a broker's partitions."""

JARS: Final = Path(__file__).with_name("jars")

_POM: Final = Path(__file__).with_name("pom.xml")
_MAVEN_S: Final = 540
_FORMAT_S: Final = 60
_READY_S: Final = 90.0
_STOP_S: Final = 20.0
_MOST: Final = 3

_JVM: Final = (
    *("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


class KafkaMissing(Exception):  # noqa: N818 -- named for what happened
    """Java, Maven or the jars are not there; the sentence says what to do."""


def jars(version: str) -> Path:
    """Return the folder with the jars of this version; fetch them if they are not there yet.

    Raises:
        KafkaMissing: There is no Java or Maven, or Maven could not get them.
    """
    for tool, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(tool) is None:
            raise KafkaMissing(f"There is no {tool}. On Debian: apt-get install {package}")
    folder = JARS / version
    if folder.is_dir():
        return folder
    _say(f"fetching the jars of Apache Kafka {version} with Maven, some 45 MB, into {folder}")
    half = JARS / f".{version}.{os.getpid()}"
    command = [
        *("mvn", "--batch-mode", "--quiet", "--file", str(_POM), f"-Dkafka.version={version}"),
        *("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={half}"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MAVEN_S, check=False)  # noqa: S603
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise KafkaMissing(f"Maven did not get Apache Kafka {version}:\n{said}")
        with contextlib.suppress(FileExistsError):  # another process fetched it meanwhile
            half.rename(folder)
    except subprocess.TimeoutExpired:
        raise KafkaMissing(f"Maven did not get Apache Kafka {version} within {_MAVEN_S} s.") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return folder


def prepare(
    folder: Path,
    *,
    version: str = CURRENT,
    count: int = 1,
    port: int = 0,
    advertised: Mapping[int, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> list[ServerSpec]:
    """Make or find the brokers' storage, and describe the brokers; start them all at once.

    Args:
        folder: Where their data and logs are; brokers that were there before go on with it.
        version: Version of Apache Kafka.
        count: 1 or 3. Three keep every partition three times.
        port: Port of the first; the others follow. 0: any that are free.
        advertised: ``host:port`` that clients are sent to instead, by number from 1.
        settings: Further properties, or other values.

    Raises:
        KafkaMissing: See `jars`.
        ServerFailed: The storage cannot be formatted.
    """
    library = jars(version)
    folder.mkdir(parents=True, exist_ok=True)
    ports = [port + number if port else free_port() for number in range(2 * count)]
    listeners, controllers = ports[:count], ports[count:]
    quorum = ",".join(f"{number}@{HOST}:{each}" for number, each in enumerate(controllers, 1))
    shared = _shared(count) | {"controller.quorum.voters": quorum} | dict(settings or {})
    files = []
    for number, (listener, controller) in enumerate(zip(listeners, controllers, strict=True), 1):
        shown = (advertised or {}).get(number, f"{HOST}:{listener}")
        own = _own(number, listener, controller, shown, folder)
        file = folder / f"broker-{number}.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in (own | shared).items()))
        files.append(file)
    _format(library, folder, files)
    return [
        ServerSpec(
            name=f"broker-{number}",
            argv=("java", *_JVM, "-cp", f"{library}/*", "kafka.Kafka", str(file)),
            port=listener,
            probe=answers,
            log=folder / f"broker-{number}.log",
            ready_s=_READY_S,
            stop_s=_STOP_S,
        )
        for number, (listener, file) in enumerate(zip(listeners, files, strict=True), 1)
    ]


def _own(number: int, listener: int, controller: int, shown: str, folder: Path) -> dict[str, str]:
    return {
        "node.id": str(number),
        "listeners": f"CLIENTS://{HOST}:{listener},CONTROLLERS://{HOST}:{controller}",
        "advertised.listeners": f"CLIENTS://{shown}",
        "log.dirs": str((folder / f"broker-{number}").absolute()),
    }


def _shared(count: int) -> dict[str, str]:
    safe = str(max(1, count - 1))
    return {
        "process.roles": "broker,controller",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "controller.listener.names": "CONTROLLERS",
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(count),
        "offsets.topic.replication.factor": str(count),
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": str(count),
        "transaction.state.log.min.isr": safe,
        "group.initial.rebalance.delay.ms": "0",
        "broker.session.timeout.ms": str(SESSION_MS),
        "broker.heartbeat.interval.ms": str(SESSION_MS // 6),
        "log.retention.check.interval.ms": "500",
        "log.initial.task.delay.ms": "100",
    }


def _format(library: Path, folder: Path, files: Sequence[Path]) -> None:
    """Write each broker's identity into its storage, unless it is there."""
    kept = folder / "cluster.id"
    if not kept.exists():
        kept.write_text(
            base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "_")
        )
    new = [file for file in files if not (file.with_suffix("") / "meta.properties").exists()]
    if new:
        _say(f"formatting the storage of {len(new)} broker(s) in {folder}")
    tool = ("java", *_JVM, "-cp", f"{library}/*", "kafka.tools.StorageTool")
    running = [
        subprocess.Popen(  # noqa: S603
            [*tool, "format", "--cluster-id", kept.read_text(), "--config", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for file in new
    ]
    for child in running:
        said, _ = child.communicate(timeout=_FORMAT_S)
        if child.returncode != 0:
            raise ServerFailed(f"The storage of a broker in {folder} cannot be formatted:\n{said[-2000:]}")


async def answers(port: int) -> bool:
    """Return whether the broker on this port answers requests, which it does once the cluster knows it."""
    if not await accepts(port):
        return False
    client = AIOKafkaClient(bootstrap_servers=f"{HOST}:{port}", request_timeout_ms=2_000)
    try:
        async with asyncio.timeout(3):
            await client.bootstrap()
            return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


def bootstrap(specs: Sequence[ServerSpec]) -> str:
    """Return what ``roost up --kafka`` is to be given."""
    return ",".join(spec.address for spec in specs)


# --- the command ----------------------------------------------------------------------------------


async def _serve(specs: Sequence[ServerSpec], args: argparse.Namespace) -> None:
    """Run the brokers until a signal; one that dies is started again."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    began = time.monotonic()
    _say(f"starting {len(specs)} broker(s) of Apache Kafka {args.version}")
    starting = [asyncio.create_task(start(spec)) for spec in specs]
    servers: list[Server] = []
    minders: list[asyncio.Task[None]] = []
    try:
        servers = list(await asyncio.gather(*starting))
        _announce(specs, servers, args, time.monotonic() - began)
        minders = [asyncio.create_task(_mind(servers, place)) for place in range(len(servers))]
        await stop.wait()
        _say("stopping")
    finally:
        for task in (*starting, *minders):
            task.cancel()
        await asyncio.gather(*starting, *minders, return_exceptions=True)
        await asyncio.gather(*(server.stop() for server in servers))


async def _mind(servers: list[Server], place: int) -> None:
    while True:
        status = await servers[place].wait()
        spec = servers[place].spec
        _say(f"{spec.name} ended with status {status}; it is started again. Its log: {spec.log}")
        try:
            servers[place] = await start(spec)
        except ServerFailed as exc:
            _say(str(exc))
            await asyncio.sleep(1)
        else:
            _say(f"{spec.name} is back as process {servers[place].pid}")


def _announce(
    specs: Sequence[ServerSpec], servers: Sequence[Server], args: argparse.Namespace, took_s: float
) -> None:
    if args.json:
        pids = [server.pid for server in servers]
        sys.stdout.write(json.dumps({"ready": True, "kafka": bootstrap(specs), "pids": pids}) + "\n")
    else:
        replicas = f"ROOST_KAFKA__REPLICAS={len(specs)} " if len(specs) > 1 else ""
        rows = [f"  {s.spec.name}  process {s.pid}  {s.spec.address}  log {s.spec.log}" for s in servers]
        lines = [
            f"Apache Kafka {args.version} is ready after {took_s:.1f} s.",
            *rows,
            "Next, in another terminal:",
            f"  {replicas}ROOST_KAFKA__FETCH_WAIT_MS=500 roost up --kafka {bootstrap(specs)}",
            "To see a failure: kill -9 a process above. Stop with Ctrl-C.",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Apache Kafka on this machine, for trying and testing.")
    parser.add_argument("--version", default=CURRENT, help=f"version of Apache Kafka ({CURRENT})")
    parser.add_argument("--count", type=int, choices=(1, _MOST), default=1, help="brokers (1)")
    parser.add_argument(
        "--data", type=Path, default=Path("data-kafka"), metavar="DIR", help="where they keep the log"
    )
    parser.add_argument("--port", type=int, default=0, help="of the first; the others follow (any free ones)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a broker's property")
    parser.add_argument("--fetch", action="store_true", help="fetch the jars, and end")
    parser.add_argument("--json", action="store_true", help="print one ready line as JSON, nothing else")
    args = parser.parse_args()
    try:
        if args.fetch:
            _say(f"The jars are in {jars(args.version)}.")
            return 0
        settings = dict(each.split("=", 1) for each in args.set)
        specs = prepare(args.data, version=args.version, count=args.count, port=args.port, settings=settings)
        asyncio.run(_serve(specs, args))
    except (KafkaMissing, ServerFailed) as exc:
        _say(str(exc))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
