"""Settings: the only reader of the environment and of ``roost.toml``.

``Settings.load()`` reads them once, in the command that an operator started. From there the value
travels: roles are handed its JSON and build the same frozen struct from it, so that no process
depends on the environment or the folder that it happens to run in.
Long, because every setting stands here, with what it is for.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from roost.ids import is_server_name

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX = "ROOST_"
FILE = "roost.toml"

_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:,@\[\]]+)(:\d{1,5})?")


class SettingsInvalid(Exception):  # noqa: N818 -- named for what happened
    """A setting is unknown or has no allowed value; the sentences say which and why."""


def _brokers(text: str) -> str:
    if not all(_BROKER.fullmatch(each) for each in text.split(",")):
        raise ValueError(
            f"{_without_name(text)!r} is not of the form host:port[,host:port], without a scheme"
        )
    return text


def _without_name(url: str) -> str:
    """Return the URL without the name and the password in it, however badly it is formed."""
    return url.rpartition("@")[2]


def _url_of(*schemes: str) -> AfterValidator:
    """Return what refuses a URL of another scheme, or without a host."""

    def fits(text: str) -> str:
        scheme, found, rest = text.partition("://")
        if not found or scheme not in schemes or not rest.strip("/"):
            wanted = " or ".join(f"{each}://" for each in schemes)
            raise ValueError(f"{_without_name(text)!r} is no address that begins with {wanted}")
        return text

    return AfterValidator(fits)


def _server_name(text: str) -> str:
    if not is_server_name(text):
        raise ValueError(
            f"{text!r} is not 1-255 letters, digits, dots and hyphens, such as chat.example.org; "
            "write a name in another script in its xn-- form"
        )
    return text


_HttpUrl = Annotated[str, _url_of("http", "https")]


class Group(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Http(Group):
    """Where clients connect."""

    host: str = Field("127.0.0.1", description="IP address that gateways listen on.")
    port: int = Field(
        8080, ge=0, le=65535, description="TCP port shared by all gateways of a node. 0: any free port."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins allowed to call the API from a browser."
    )


class Tls(Group):
    """Encryption of client connections. Without a certificate, a proxy in front must provide it."""

    certificate: Path | None = Field(None, description="PEM file with the certificate chain.")
    key: Path | None = Field(None, description="PEM file with its private key.")

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("there is a key, and no certificate: set both, or neither")
        return self


class Kafka(Group):
    """The log."""

    url: Annotated[str, AfterValidator(_brokers)] | None = Field(
        None, description="`host:port[,host:port]` of the brokers. None: an embedded broker is started."
    )
    embedded: Literal["auto", "kfake", "tansu"] = Field(
        "auto",
        description="Embedded broker: `kfake`, whose log survives a crash of the broker, `tansu`, whose "
        "log does not, or `auto`: kfake where it is built, else Tansu.",
    )
    sync: bool = Field(
        True,  # noqa: FBT003 -- a default
        description="Whether the embedded kfake syncs each batch to disk before acknowledging it. "
        "`false`: a power failure may lose the newest batches; a crash of every Roost process does not.",
    )
    replicas: int = Field(
        1, ge=1, description="Replication factor of the topics that Roost creates; 3 on a Kafka cluster."
    )
    fetch_wait_ms: int = Field(
        0,
        ge=0,
        description="Milliseconds that a broker may hold an empty fetch; it answers as soon as there are "
        "records. 0: 500, or 5 on the embedded Tansu, which always waits the full time.",
    )
    idempotent: bool | None = Field(
        None,
        description="Whether producers are idempotent. None: if the broker supports it; the embedded "
        "Tansu does not.",
    )
    linger_ms: float = Field(
        0.0, ge=0, description="Milliseconds that a producer waits for more records before sending a batch."
    )


class Mongo(Group):
    """The store."""

    url: Annotated[str, _url_of("mongodb", "mongodb+srv")] | None = Field(
        None, description="`mongodb://...`. None: an embedded server is started in the data folder."
    )
    database: str = Field("roost", description="Database name.")
    driver: Literal["motor", "pymongo"] = Field(
        "motor", description="`motor`, or `pymongo` for its successor `AsyncMongoClient`."
    )
    reads: int = Field(
        0,
        ge=0,
        description="Maximum concurrent reads per role; further reads wait. 0: 16, or 2 with the embedded "
        "store, which stalls when many reads meet its writes.",
    )


class Redis(Group):
    """The cache. Nothing in it is needed after a restart."""

    url: Annotated[str, _url_of("redis", "rediss", "unix")] | None = Field(
        None, description="`redis://...`. None: an embedded server without persistence is started."
    )
    prefix: str = Field("roost:", description="Prefix of every key and channel.")


class Fcm(Group):
    """Wake-ups through Firebase Cloud Messaging."""

    credentials_file: Path | None = Field(
        None,
        description="Google service-account file. None: an embedded endpoint is started that shows "
        "the pushes it receives.",
    )
    endpoint: _HttpUrl | None = Field(None, description="Base URL of the HTTP v1 API. None: Google's.")
    project: str | None = Field(None, description="Project ID. None: the one in the credentials file.")
    ttl_s: int = Field(
        4 * 7 * 24 * 3600, ge=0, le=2_419_200, description="Seconds that FCM keeps an undelivered wake-up."
    )
    attempts: int = Field(
        20,
        ge=1,
        description="Attempts to send a wake-up before it goes to the topic `push.dead`; the default "
        "takes about seven minutes, pauses included.",
    )
    concurrency: int = Field(64, ge=1, description="Wake-ups that one pusher sends concurrently.")
    backoff_s: float = Field(
        1.0,
        gt=0,
        description="First pause between attempts, in seconds; doubled each time, with full jitter.",
    )
    backoff_max_s: float = Field(60.0, gt=0, description="Longest pause between attempts, in seconds.")


class KeyRingFile(Group):
    """The secrets of the installation."""

    file: Path | None = Field(None, description="Key ring file. None: `keyring.json` in the data folder.")


class Rate(Group):
    """A token bucket."""

    rate: float = Field(gt=0, description="Tokens per second.")
    burst: int = Field(gt=0, description="Largest burst, in tokens.")


def _rate(rate: float, burst: int, what: str) -> Any:
    return Field(Rate(rate=rate, burst=burst), description=what)


_SHARED = "Counted across all gateways; while Redis is unavailable, each gateway counts by itself."
_LOCAL = "Counted by each gateway on its own."


class Limits(Group):
    """Rate limits."""

    accounts_by_address: Rate = _rate(50.0, 3_000, f"New accounts per client address. {_SHARED}")
    logins_by_address: Rate = _rate(50.0, 3_000, f"Logins per client address. {_SHARED}")
    logins_by_user: Rate = _rate(0.2, 20, f"Logins per username. {_SHARED}")
    refreshes: Rate = _rate(0.5, 30, f"Token refreshes per session. {_SHARED}")
    claims: Rate = _rate(20.0, 1_000, f"Claims of one-time keys per user. {_SHARED}")
    lookups: Rate = _rate(50.0, 1_000, f"Lookups of users and keys per device. {_LOCAL}")
    requests: Rate = _rate(200.0, 2_000, f"Requests per device. {_LOCAL}")
    sends: Rate = _rate(500.0, 5_000, f"Messages per device. {_LOCAL}")
    typing: Rate = _rate(2.0, 10, f"Typing notifications per device. {_LOCAL}")


class Admission(Group):
    """Admission control: what exceeds a limit is refused, with the time to wait."""

    accept_ms: int = Field(
        400,
        ge=10,
        description="Longest expected time from socket to log for a new message to be admitted, in "
        "milliseconds.",
    )
    queue_ms: int = Field(
        500,
        ge=10,
        description="Longest time that an admitted message waits for its turn before it is refused, in "
        "milliseconds.",
    )
    deliver_ms: int = Field(
        800,
        ge=10,
        description="Longest expected time from log to user actor for a new message to be admitted, in "
        "milliseconds. Applies per shard.",
    )
    store_s: float = Field(
        30.0,
        gt=0,
        description="Longest time that a record may wait at its host to be stored, in seconds. "
        "Applies per shard.",
    )
    sends: int = Field(8_000, ge=1, description="Maximum unanswered messages per gateway.")
    sends_bytes: int = Field(
        32 * 1024 * 1024,
        ge=2_097_152,
        description="Maximum size of the unanswered messages per gateway, in bytes.",
    )
    device: int = Field(
        512,
        ge=1,
        description="Maximum unanswered messages per device; at the limit its stream is not read.",
    )
    unstored: int = Field(
        100_000, ge=1, description="Maximum records per host that are not stored yet, shared by its shards."
    )
    unstored_bytes: int = Field(
        64 * 1024 * 1024, ge=1_048_576, description="Maximum size of these records per host, in bytes."
    )


class Actors(Group):
    """User actors in their hosts."""

    idle_ms: int = Field(
        60_000, ge=100, description="Milliseconds after which an idle user actor is passivated."
    )
    sweep_every_s: float = Field(5.0, gt=0, description="Seconds between sweeps for idle actors.")
    store_linger_ms: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="Milliseconds for which a host collects entries before storing them. Delivery does "
        "not wait for it, and the log keeps them until then. Always 0 with the embedded Tansu, whose log "
        "does not survive a crash of the broker.",
    )


class Log(Group):
    """The life of the log."""

    max_records: int = Field(
        0,
        ge=0,
        description="Records in `mailbox` above which the log is drained and recreated, because the "
        "embedded Tansu deletes nothing. 0: 150,000 on Tansu, unlimited elsewhere.",
    )
    max_batches: int = Field(
        0,
        ge=0,
        description="The same limit for batches, whose number slows Tansu down. 0: 10,000 on Tansu, "
        "unlimited elsewhere.",
    )
    keep_mb: int = Field(
        0,
        ge=0,
        description="Megabytes of `mailbox` and `push` above which the oldest stored records are deleted; "
        "records not stored yet are kept. 0: 256 on the embedded kfake, unlimited on your own Kafka.",
    )
    keep_s: float = Field(
        3600.0,
        gt=0,
        description="Seconds after which stored records are deleted regardless of size, where "
        "`log.keep_mb` applies.",
    )


class Cluster(Group):
    """The processes."""

    gateways: int = Field(1, ge=1, description="Gateway processes; scale with connections.")
    routers: int = Field(1, ge=1, description="Router processes; scale with log throughput.")
    hosts: int = Field(1, ge=1, description="Host processes; scale with online users.")
    pushers: int = Field(1, ge=1, description="Pusher processes; scale with wake-ups.")
    spares: int = Field(
        1,
        ge=0,
        le=100,
        description="Standby processes, fully loaded, that take over from any role that dies; about 100 "
        "MB each. 0: a role is back once a new process has started.",
    )
    heartbeat_s: float = Field(
        0.5,
        gt=0,
        description="Seconds between the coordinator's heartbeats to each role; twice as long for an idle "
        "role on its own machine.",
    )
    silence_s: float = Field(
        1.5,
        gt=0,
        description="Seconds without an answer after which a role is considered gone; a host keeps its "
        "shards for twice as long.",
    )
    grace_s: float = Field(
        5.0,
        ge=0,
        description="Seconds that a host keeps its shards after its process died, because it is usually "
        "back before another host could load their users.",
    )
    listen: str = Field(
        "127.0.0.1",
        description="IP address that hosts listen on for routers and gateways; `node`: the address of the "
        "machine in its Ray cluster.",
    )
    address: str | None = Field(
        None, description="Ray cluster to join, `auto` for the local one. None: Roost starts its own."
    )
    dashboard_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="TCP port on 127.0.0.1 of Ray's dashboard, for the Ray that `roost up` starts; it "
        "needs `ray[default]` and some 300 MB of memory. 0: no dashboard.",
    )
    role_cpus: float = Field(
        0.0,
        ge=0,
        description="CPUs that each role requests from the Ray cluster that it joins (`cluster.address`), "
        "so that an autoscaler sees the demand; a role waits until a machine has them free. 0: none.",
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
    """Metrics and traces."""

    metrics_host: str = Field("127.0.0.1", description="IP address on which a node serves its metrics.")
    metrics_port: int = Field(
        9464,
        ge=0,
        le=65535,
        description="TCP port on which one role of each node serves the metrics of all of them; while the "
        "port is taken, roles retry every second. 0: no metrics.",
    )
    traces_url: _HttpUrl | None = Field(
        None,
        description="OTLP/HTTP endpoint that spans are sent to, for example "
        "`http://127.0.0.1:4318/v1/traces`; needs the extra `otel`. None: no traces.",
    )
    traces_share: float = Field(
        1.0, ge=0, le=1, description="Fraction of messages that are traced, chosen by message ID."
    )


class Tokens(Group):
    """Sessions."""

    access_s: int = Field(600, ge=10, description="Lifetime of an access token, in seconds.")
    refresh_s: int = Field(
        30 * 24 * 3600, ge=60, description="Lifetime of an unused refresh token, in seconds."
    )


class Settings(BaseModel):
    """All settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_name: Annotated[str, AfterValidator(_server_name)] = Field(
        "localhost", description="Name after the colon in user addresses. It cannot be changed later."
    )
    data: Path = Field(
        Path("data"), description="Folder for this node's data: key ring, embedded servers, logs."
    )
    shards: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Number of shards, that is of partitions of `mailbox` and `push`, at the first start; "
        "add more later with `roost scale shards=N`. None: 2, or with several hosts, routers or pushers "
        "the power of two that gives each at least two.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    http: Http = Field(Http(), description="Where clients connect.")
    tls: Tls = Field(Tls(), description="Encryption of client connections.")
    kafka: Kafka = Field(Kafka(), description="The log.")
    mongo: Mongo = Field(Mongo(), description="The store.")
    redis: Redis = Field(Redis(), description="The cache.")
    fcm: Fcm = Field(Fcm(), description="Wake-ups.")
    keyring: KeyRingFile = Field(KeyRingFile(), description="The secrets.")
    limits: Limits = Field(Limits(), description="Rate limits.")
    admission: Admission = Field(Admission(), description="Admission control.")
    actors: Actors = Field(Actors(), description="User actors.")
    log: Log = Field(Log(), description="The life of the log.")
    cluster: Cluster = Field(Cluster(), description="The processes.")
    tokens: Tokens = Field(Tokens(), description="Sessions.")
    telemetry: Telemetry = Field(Telemetry(), description="Metrics and traces.")

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
                f"The environment variable {variable} is not a Roost setting. "
                "See `roost config --markdown` for all settings, or unset it."
            )


def _sentences(error: ValidationError) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        key = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            lines.append(f"The setting {key} is unknown. See `roost config --markdown` for all settings.")
        else:
            lines.append(f"The setting {key} is invalid: {each['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)


def without_password(url: str | None) -> str | None:
    """Return the URL with its password replaced by stars."""
    parts = urlsplit(url or "")
    if url is None or parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
