"""All settings, one frozen value: read once, then handed from process to process as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cluster.settings.addresses import ServerName
from cluster.settings.clients import Admission, Http, Limits, Tls, Tokens
from cluster.settings.mailboxes import Quota, Retention
from cluster.settings.media import Media
from cluster.settings.node import Node
from cluster.settings.push import Push, WebPush
from cluster.settings.roles import Actors, Cluster, Log, Telemetry
from cluster.settings.security import Cleartext
from cluster.settings.servers import Fcm, Kafka, KeyRingFile, Mongo, Redis
from cluster.settings.sources import Origin, read

_DAY_S: Final = 86_400


class Settings(BaseModel):
    """All settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server_name: ServerName = Field(
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
    node: Node = Field(Node(), description="Encryption between nodes.")
    cleartext: Cleartext = Field(Cleartext(), description="Exceptions from encryption.")
    kafka: Kafka = Field(Kafka(), description="The log.")
    mongo: Mongo = Field(Mongo(), description="The store.")
    redis: Redis = Field(Redis(), description="The cache.")
    fcm: Fcm = Field(Fcm(), description="Wake-ups of apps.")
    webpush: WebPush = Field(WebPush(), description="Wake-ups of browsers and of UnifiedPush.")
    push: Push = Field(Push(), description="When devices are woken.")
    keyring: KeyRingFile = Field(KeyRingFile(), description="The secrets.")
    limits: Limits = Field(Limits(), description="Rate limits.")
    admission: Admission = Field(Admission(), description="Admission control.")
    quota: Quota = Field(Quota(), description="How much may wait in a mailbox.")
    retention: Retention = Field(Retention(), description="How long things are kept.")
    actors: Actors = Field(Actors(), description="User actors.")
    log: Log = Field(Log(), description="The lifecycle of the log.")
    cluster: Cluster = Field(Cluster(), description="The processes.")
    tokens: Tokens = Field(Tokens(), description="Sessions.")
    media: Media = Field(Media(), description="Files.")
    telemetry: Telemetry = Field(Telemetry(), description="Metrics and traces.")
    origins: dict[str, Origin] = {}
    """Where each setting was given, by its path; no setting itself."""

    @model_validator(mode="after")
    def _notices_use(self) -> Self:
        device_s = self.retention.device_days * _DAY_S
        if device_s < self.tokens.access_s:
            raise ValueError(
                f"retention.device_days is {device_s:g} s, and the use of a device is noticed only every "
                f"{self.tokens.access_s} s (tokens.access_s): entries that a connected device has not "
                "acknowledged would be deleted. Make device_days longer, or access_s shorter"
            )
        return self

    @classmethod
    def load(cls, changes: Mapping[str, Any] | None = None, file: Path | None = None) -> Self:
        """Read ``changes``, then the environment, then the file; the first that has a key wins.

        Args:
            changes: Nested values, as a command line gives them.
            file: The TOML file; None: ``roost.toml`` in the current folder, if there is one.

        Raises:
            SettingsInvalid: A key is unknown, or a value is not allowed.
        """
        return read(cls, changes or {}, file).anchored()

    def anchored(self) -> Self:
        """Return the same with absolute paths, so that they mean the same in every process."""
        return _anchored(self)

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
    def media_url(self) -> str:
        """Where the bytes of media go."""
        return self.media.url or (self.data / "media").as_uri()

    @property
    def has_fcm(self) -> bool:
        """Whether wake-ups can go through FCM; embedded servers that were started are part of this."""
        return self.fcm.credentials_file is not None

    @property
    def push_subject(self) -> str:
        """Whom a service of Web Push asks when we disturb it."""
        return self.webpush.subject or f"https://{self.server_name}"

    @property
    def keyring_file(self) -> Path:
        """Where the key ring is."""
        return self.keyring.file or self.data / "keyring.json"

    @property
    def certificate_files(self) -> dict[str, Path]:
        """Where the certificates in use are, by what they are for: ``clients``, ``node``, ``ca``."""
        files = {"clients": self.tls.certificate, "node": self.node.certificate, "ca": self.node.ca}
        return {purpose: file for purpose, file in files.items() if file is not None}


_Model = TypeVar("_Model", bound=BaseModel)


def _anchored(group: _Model) -> _Model:
    fixed: dict[str, Any] = {}
    for name in type(group).model_fields:
        match getattr(group, name):
            case Path() as path:
                fixed[name] = _absolute(path)
            case (Path(), *_) as paths:
                fixed[name] = tuple(map(_absolute, paths))
            case BaseModel() as inner:
                fixed[name] = _anchored(inner)
    return group.model_copy(update=fixed)


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()
