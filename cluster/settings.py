"""Settings: the only reader of the environment and of ``roost.toml``.

``Settings.load()`` reads them once, in the command that an operator started. From there the value
travels: roles are handed its JSON and build the same frozen struct from it, so that no process
depends on the environment or the folder that it happens to run in.
Long, because every setting stands here, with what it is for.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX = "ROOST_"
FILE = "roost.toml"


class SettingsInvalid(Exception):  # noqa: N818 -- named for what happened
    """A setting is unknown or has no allowed value; the sentences say which and why."""


class Group(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Http(Group):
    """Where clients connect."""

    host: str = Field("127.0.0.1", description="IP address that gateways listen on.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port that all gateways of a node share. 0: any.")
    cors_origins: tuple[str, ...] = Field((), description="Web origins that may call the API from a browser.")


class Tls(Group):
    """Encryption of clients' connections. Without a certificate a proxy in front must do it."""

    certificate: Path | None = Field(None, description="File with the certificate chain, PEM.")
    key: Path | None = Field(None, description="File with its private key, PEM.")


class Kafka(Group):
    """The log."""

    url: str | None = Field(
        None, description="`host:port[,host:port]` of the brokers. None: an embedded broker."
    )
    embedded: Literal["auto", "kfake", "tansu"] = Field(
        "auto",
        description="Which embedded broker: `kfake`, whose log outlives a crash of its own, `tansu`, whose "
        "log does not, or `auto`: kfake where it was built.",
    )
    sync: bool = Field(
        True,  # noqa: FBT003 -- a default
        description="Whether the embedded kfake has each batch on disk before it confirms it. `false`: a "
        "power cut may cost the newest batches; a crash of all our processes does not.",
    )
    replicas: int = Field(
        1, ge=1, description="Copies of each partition when topics are made; 3 on a cluster."
    )
    fetch_wait_ms: int = Field(
        0,
        ge=0,
        description="Milliseconds a broker may hold an empty fetch; it answers early when there is "
        "something. 0: 500, and 5 on the embedded Tansu, which always waits this long.",
    )
    idempotent: bool | None = Field(
        None,
        description="Whether writers ask the broker to drop what they send twice. None: if it can; "
        "the embedded Tansu cannot.",
    )
    linger_ms: float = Field(
        0.0, ge=0, description="Milliseconds a writer waits for more records of a batch."
    )


class Mongo(Group):
    """The store."""

    url: str | None = Field(None, description="`mongodb://...`. None: an embedded server in the data folder.")
    database: str = Field("roost", description="Name of the database.")
    driver: Literal["motor", "pymongo"] = Field(
        "motor", description="`motor`, or `pymongo` for its successor `AsyncMongoClient`."
    )
    reads: int = Field(
        0,
        ge=0,
        description="Reads that a role has in progress at once; the others wait. 0: 16, and 2 with an "
        "embedded store, which stands still when many reads meet its writes.",
    )


class Redis(Group):
    """The cache. Nothing in it is needed after a restart."""

    url: str | None = Field(None, description="`redis://...`. None: an embedded server that saves nothing.")
    prefix: str = Field("roost:", description="What every key and channel begins with.")


class Fcm(Group):
    """Wake-ups through Firebase Cloud Messaging."""

    credentials_file: Path | None = Field(
        None, description="Google service-account file. None: the embedded endpoint, which shows the pushes."
    )
    endpoint: str | None = Field(None, description="Base URL of the HTTP v1 API. None: Google's.")
    project: str | None = Field(None, description="Project id. None: the one in the credentials file.")
    ttl_s: int = Field(4 * 7 * 24 * 3600, ge=0, le=2_419_200, description="Seconds that FCM keeps a wake-up.")
    attempts: int = Field(
        20,
        ge=1,
        description="Tries of one wake-up before it goes to the topic `push.dead`: with the pauses between "
        "them about seven minutes.",
    )
    concurrency: int = Field(64, ge=1, description="Wake-ups that one pusher sends at a time.")
    backoff_s: float = Field(
        1.0, gt=0, description="Seconds of the first pause; doubled each time, full jitter."
    )
    backoff_max_s: float = Field(60.0, gt=0, description="Seconds of the longest pause.")


class KeyRingFile(Group):
    """The secrets of the installation."""

    file: Path | None = Field(None, description="The key ring. None: `keyring.json` in the data folder.")


class Rate(Group):
    """A token bucket."""

    rate: float = Field(gt=0, description="Tokens a second.")
    burst: int = Field(gt=0, description="Tokens that may be used at once.")


def _rate(rate: float, burst: int, what: str) -> Any:
    return Field(Rate(rate=rate, burst=burst), description=what)


_SHARED = "Counted over all gateways; while Redis is away each gateway counts for itself (fails to local)."
_LOCAL = "Counted by each gateway; asks nobody, so it cannot fail."


class Limits(Group):
    """Who may do what how often."""

    accounts_by_address: Rate = _rate(50.0, 3_000, f"New accounts per client address. {_SHARED}")
    logins_by_address: Rate = _rate(50.0, 3_000, f"Log-ins per client address. {_SHARED}")
    logins_by_user: Rate = _rate(0.2, 20, f"Log-ins per username. {_SHARED}")
    refreshes: Rate = _rate(0.5, 30, f"Token refreshes per session. {_SHARED}")
    claims: Rate = _rate(20.0, 1_000, f"Claims of one-time keys per user. {_SHARED}")
    lookups: Rate = _rate(50.0, 1_000, f"Look-ups of users and keys per device. {_LOCAL}")
    requests: Rate = _rate(200.0, 2_000, f"Requests per device. {_LOCAL}")
    sends: Rate = _rate(500.0, 5_000, f"Messages per device. {_LOCAL}")
    typing: Rate = _rate(2.0, 10, f"Typing notices per device. {_LOCAL}")


class Admission(Group):
    """How much may wait; what comes beyond is refused with the time to wait."""

    accept_ms: int = Field(
        400,
        ge=10,
        description="Milliseconds that a new message may be expected to take from the socket into the log.",
    )
    queue_ms: int = Field(
        500,
        ge=10,
        description="Milliseconds that a message waits for its turn before it is refused after all.",
    )
    deliver_ms: int = Field(
        800,
        ge=10,
        description="Milliseconds that a new record may be expected to take from the log to its actor. "
        "Per shard: others go on.",
    )
    store_s: float = Field(
        30.0, gt=0, description="Seconds that a record may be at its host before it is stored. Per shard."
    )
    sends: int = Field(8_000, ge=1, description="Messages in one gateway that have no answer yet.")
    sends_bytes: int = Field(32 * 1024 * 1024, ge=2_097_152, description="Their bytes.")
    device: int = Field(
        512,
        ge=1,
        description="Messages of one device that have no answer yet; its stream is not read meanwhile.",
    )
    unstored: int = Field(
        100_000, ge=1, description="Records in one host that are not stored yet, shared by its shards."
    )
    unstored_bytes: int = Field(64 * 1024 * 1024, ge=1_048_576, description="Their bytes.")


class Actors(Group):
    """User actors in their hosts."""

    idle_ms: int = Field(
        60_000, ge=100, description="Milliseconds after which an actor nobody needs is let go."
    )
    sweep_every_s: float = Field(5.0, gt=0, description="Seconds between two looks for idle actors.")
    store_linger_ms: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="Milliseconds for which a host collects entries before it stores them. They are "
        "delivered before; the log keeps them until then. Always 0 with the embedded Tansu, whose log "
        "does not outlive a crash of its own.",
    )


class Log(Group):
    """The life of the log."""

    max_records: int = Field(
        0,
        ge=0,
        description="Records of `mailbox` above which the log is drained and made anew, because the embedded "
        "Tansu never forgets. 0: 150,000 there, never elsewhere.",
    )
    max_batches: int = Field(
        0,
        ge=0,
        description="The same for batches: Tansu slows down with their number. 0: 10,000 there, never "
        "elsewhere.",
    )
    keep_mb: int = Field(
        0,
        ge=0,
        description="Megabytes of `mailbox` and `push` above which the oldest records are deleted, if they "
        "are stored; what is not stored stays. 0: 256 on the embedded kfake, no limit on one's own.",
    )
    keep_s: float = Field(
        3600.0,
        gt=0,
        description="Seconds after which stored records are deleted whatever their size, where `log.keep_mb` "
        "is in force.",
    )


class Cluster(Group):
    """The processes."""

    gateways: int = Field(1, ge=1, description="Gateway processes: scale with connections.")
    routers: int = Field(1, ge=1, description="Router processes: scale with the log's throughput.")
    hosts: int = Field(1, ge=1, description="Host processes: scale with online users.")
    pushers: int = Field(1, ge=1, description="Pusher processes: scale with wake-ups.")
    spares: int = Field(
        1,
        ge=0,
        le=100,
        description="Processes, in all, that have loaded everything and wait to take the place of any role "
        "that dies: some 100 MB each. 0: a role is back when a new process is.",
    )
    heartbeat_s: float = Field(
        0.5,
        gt=0,
        description="Seconds between two looks of the coordinator at every role; at one on its own machine "
        "that has nothing to do, half as often.",
    )
    silence_s: float = Field(
        1.5,
        gt=0,
        description="Seconds without an answer after which a role counts as gone; a host keeps its shards "
        "for twice as long.",
    )
    grace_s: float = Field(
        5.0,
        ge=0,
        description="Seconds that a host whose process died keeps its shards, because it is back with them "
        "sooner than others could load their users.",
    )
    listen: str = Field(
        "127.0.0.1",
        description="IP address that hosts listen on for routers and gateways; `node`: the one by which the "
        "machines of the Ray cluster know each other.",
    )
    address: str | None = Field(
        None, description="Ray cluster to join, `auto` for the local one. None: an own one."
    )

    @property
    def roles(self) -> int:
        """How many roles there are to be, the coordinator included."""
        return 1 + sum(self.counts.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many of each role there are to be."""
        return {
            "host": self.hosts,
            "router": self.routers,
            "gateway": self.gateways,
            "pusher": self.pushers,
        }


class Telemetry(Group):
    """What operators look at."""

    metrics_host: str = Field("127.0.0.1", description="IP address that a node shows its metrics on.")
    metrics_port: int = Field(
        9464,
        ge=0,
        le=65535,
        description="TCP port on which one role of each node shows the metrics of all of them. 0: none. "
        "If somebody else has it, roles try again every second.",
    )
    traces_url: str | None = Field(
        None,
        description="Where spans go as OTLP over HTTP, for example `http://127.0.0.1:4318/v1/traces`; needs "
        "the extra `otel`. None: there are no traces.",
    )
    traces_share: float = Field(
        1.0, ge=0, le=1, description="Share of the messages that are traced, by their ids."
    )


class Tokens(Group):
    """Sessions."""

    access_s: int = Field(600, ge=10, description="Life of an access token, in seconds.")
    refresh_s: int = Field(30 * 24 * 3600, ge=60, description="Life of an unused refresh token, in seconds.")


class Settings(BaseModel):
    """Everything an operator may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_name: str = Field(
        "localhost", description="Name after the colon in users' addresses. Never change it."
    )
    data: Path = Field(
        Path("data"), description="Folder for what this node keeps: key ring, embedded servers, logs."
    )
    shards: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Shards, which are the partitions of `mailbox` and `push`, at the first start; more of "
        "them later with `roost scale shards=N`. None: 2; with several hosts, routers or pushers the power "
        "of two that gives each at least two.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged."
    )
    http: Http = Field(Http(), description="Where clients connect.")
    tls: Tls = Field(Tls(), description="Encryption of clients' connections.")
    kafka: Kafka = Field(Kafka(), description="The log.")
    mongo: Mongo = Field(Mongo(), description="The store.")
    redis: Redis = Field(Redis(), description="The cache.")
    fcm: Fcm = Field(Fcm(), description="Wake-ups.")
    keyring: KeyRingFile = Field(KeyRingFile(), description="The secrets.")
    limits: Limits = Field(Limits(), description="Rate limits.")
    admission: Admission = Field(Admission(), description="How much may wait.")
    actors: Actors = Field(Actors(), description="User actors.")
    log: Log = Field(Log(), description="The life of the log.")
    cluster: Cluster = Field(Cluster(), description="The processes.")
    tokens: Tokens = Field(Tokens(), description="Sessions.")
    telemetry: Telemetry = Field(Telemetry(), description="What operators look at.")

    @classmethod
    def load(cls, changes: Mapping[str, Any] | None = None, file: Path | None = None) -> Self:
        """Read ``changes``, then the environment, then the file; the first that has a key wins.

        Args:
            changes: Nested values, as a command line gives them.
            file: The TOML file; None: ``roost.toml`` in the current folder, if there is one.

        Raises:
            SettingsInvalid: A key is unknown, or a value is not allowed.
        """
        _refuse_unknown_variables()
        source = file or Path(FILE)
        if file is not None and not file.exists():
            raise SettingsInvalid(f"There is no settings file {file}.")
        try:
            found = _reader(source)(**dict(changes or {}))
            settings = cls.model_validate(found.model_dump(include=set(cls.model_fields)))
        except ValidationError as exc:
            raise SettingsInvalid(_sentences(exc)) from None
        except (tomllib.TOMLDecodeError, OSError) as exc:
            raise SettingsInvalid(f"{source} cannot be read: {exc}.") from exc
        return settings.anchored()

    def anchored(self) -> Self:
        """Return the same with absolute paths, so that they mean the same in every process."""
        fixed: dict[str, Any] = {"data": self.data.expanduser().absolute()}
        for name, field in (
            ("tls", "certificate"),
            ("tls", "key"),
            ("fcm", "credentials_file"),
            ("keyring", "file"),
        ):
            group = fixed.get(name, getattr(self, name))
            path: Path | None = getattr(group, field)
            if path is not None:
                fixed[name] = group.model_copy(update={field: path.expanduser().absolute()})
        return self.model_copy(update=fixed)

    def changed(self, changes: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return a copy with values of groups replaced, ``{group: {field: value}}``."""
        groups = {
            name: getattr(self, name).model_copy(update=dict(values)) for name, values in changes.items()
        }
        return self.model_copy(update=groups)

    @property
    def first_shards(self) -> int:
        """How many shards a new installation begins with."""
        if self.shards is not None:
            return self.shards
        most = max(self.cluster.hosts, self.cluster.routers, self.cluster.pushers)
        return min(1 << (2 * most - 1).bit_length(), 4096)

    @property
    def keyring_file(self) -> Path:
        """Where the key ring is."""
        return self.keyring.file or self.data / "keyring.json"


def _reader(file: Path) -> "type[BaseSettings]":
    """Return the class that gathers the values from their sources."""
    # A role is handed its settings, and does without the 80 ms that these modules take.
    from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource  # noqa: PLC0415

    class Reader(BaseSettings, Settings):
        model_config = SettingsConfigDict(
            env_prefix=PREFIX,
            env_nested_delimiter="__",
            nested_model_default_partial_update=True,
            extra="forbid",
            frozen=True,
            toml_file=file,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: "PydanticBaseSettingsSource",
            env_settings: "PydanticBaseSettingsSource",
            dotenv_settings: "PydanticBaseSettingsSource",
            file_secret_settings: "PydanticBaseSettingsSource",
        ) -> "tuple[PydanticBaseSettingsSource, ...]":
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    return Reader


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for variable in sorted(os.environ):  # noqa: TID251 -- this is the file that may
        if variable.startswith(PREFIX) and variable.split("__", 1)[0] not in known:
            raise SettingsInvalid(
                f"The environment variable {variable} is no setting of Roost. "
                "See `roost config --markdown` for those there are, or unset it."
            )


def _sentences(error: ValidationError) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        key = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            lines.append(f"The setting {key} is unknown. See `roost config --markdown` for those there are.")
        else:
            lines.append(f"The setting {key} cannot be used: {each['msg']}.")
    return "\n".join(lines)


# --- the reference --------------------------------------------------------------------------------


def reference() -> str:
    """Return the table of all settings in Markdown."""
    lines = [
        "# Settings",
        "",
        f"Each is an environment variable, or a key of `{FILE}` in the current folder.",
        "The variable wins. Unknown ones are refused.",
        "",
        "| variable | key | default | what it does |",
        "|---|---|---|---|",
    ]
    for path, field in _walk(Settings, ()):
        variable = PREFIX + "__".join(path).upper()
        lines.append(f"| `{variable}` | `{'.'.join(path)}` | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def _walk(group: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group) and kind is not Rate:
            yield from _walk(kind, (*path, name))
        else:
            yield (*path, name), field


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, Rate):
        return f'`{{"rate": {value.rate:g}, "burst": {value.burst}}}`'
    return f"`{value}`" if value != () else "none"


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as they may be shown: no password that is part of a URL."""
    values: dict[str, Any] = settings.model_dump(mode="json")
    for group in ("mongo", "redis", "kafka"):
        values[group]["url"] = without_password(values[group]["url"])
    return values


def without_password(url: str | None) -> str | None:
    """Return the URL with its password replaced by stars."""
    parts = urlsplit(url or "")
    if url is None or parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


class PrintReference:
    """``roost config``."""

    help = "the settings in force, or with --markdown the reference of all there are"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--markdown``."""
        parser.add_argument("--markdown", action="store_true", help="print the reference")

    def run(self, args: argparse.Namespace) -> int:
        """Print."""
        try:
            text = reference() if args.markdown else json.dumps(shown(Settings.load()), indent=2)
        except SettingsInvalid as exc:
            sys.stderr.write(f"{exc}\n")
            return 2
        sys.stdout.write(text + "\n")
        return 0


print_reference = PrintReference()
