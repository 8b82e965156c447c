"""Settings of the servers underneath: the log, the store, the cache, pushes, and the key ring's file."""

import re
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, model_validator

from cluster.settings.addresses import Brokers, HttpUrl, MongoUrl, RedisUrl
from cluster.settings.group import Group
from cluster.settings.security import KafkaSecurity, Security

_PASSWORD_IN_QUERY: Final = re.compile(r"((?:^|&)[^=&]*password=)[^&]*", re.IGNORECASE)


class Kafka(Group):
    """The log."""

    url: Brokers | None = Field(
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
    security: KafkaSecurity = Field(KafkaSecurity(), description="TLS, and who signs in.")


def _signs_in_twice(url: str | None, security: Security) -> bool:
    parts = urlsplit(url or "")
    given = security.user or security.password or security.password_file
    return given is not None and (parts.username is not None or "password=" in parts.query)


class Mongo(Group):
    """The store."""

    url: MongoUrl | None = Field(
        None,
        description="`mongodb://...`, with `tls=true` for TLS. None: an embedded server is started in the "
        "data folder.",
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
    security: Security = Field(Security(), description="Who signs in; TLS is `tls=true` in the URL.")

    @model_validator(mode="after")
    def _one_user(self) -> Self:
        if _signs_in_twice(self.url, self.security):
            raise ValueError("there is a user in the URL, and one in security: set either")
        return self


class Redis(Group):
    """The cache. Nothing in it is needed after a restart."""

    url: RedisUrl | None = Field(
        None,
        description="`rediss://...` with TLS, `redis://...` without. None: an embedded server without "
        "persistence is started.",
    )
    prefix: str = Field("roost:", description="Prefix of every key and channel.")
    security: Security = Field(Security(), description="Who signs in; TLS is `rediss://` in the URL.")

    @model_validator(mode="after")
    def _one_user(self) -> Self:
        if _signs_in_twice(self.url, self.security):
            raise ValueError("there is a user in the URL, and one in security: set either")
        return self


class Fcm(Group):
    """Wake-ups through Firebase Cloud Messaging."""

    credentials_file: Path | None = Field(
        None,
        description="Google service-account file. None: an embedded endpoint is started that shows "
        "the pushes it receives; on a Ray cluster, tokens of FCM are refused, and Web Push alone wakes.",
    )
    endpoint: HttpUrl | None = Field(None, description="Base URL of the HTTP v1 API. None: Google's.")
    ca: Path | None = Field(
        None,
        description="PEM file of the authorities whose certificates the endpoint may show. None: those of "
        "the machine.",
    )
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
    master_file: Path | None = Field(
        None,
        description="File with the master key that seals the key ring: 32 bytes in base64, mode 0600. With "
        "none of the three the ring is not sealed: who can read the file, or a backup of it, has every key.",
    )
    master_env: str | None = Field(
        None, description="Name of an environment variable of every role that has the master key."
    )
    master_command: str | None = Field(
        None, description="Command whose output is the master key, such as a KMS's; it runs without a shell."
    )
    lead_s: float | None = Field(
        None,
        ge=0,
        description="Seconds from the making of a key to its first use, by which every process must have it. "
        "None: 5, or on a Ray cluster 900, in which the file has to be copied to every machine.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.master_file, self.master_env, self.master_command]
        if sum(each is not None for each in given) > 1:
            raise ValueError("the master key is from one place: a file, a variable, or a command")
        return self


def url_host(host: str) -> str:
    """Return the host of a URL for an IP address to listen on, which may mean all of this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared
        return "127.0.0.1"
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def without_password(url: str | None) -> str | None:
    """Return the URL with its password replaced by stars, wherever it stands."""
    parts = urlsplit(url or "")
    if url is None:
        return url
    netloc, query = parts.netloc, _PASSWORD_IN_QUERY.sub(r"\1***", parts.query)
    if parts.password is not None:
        netloc = netloc.replace(f":{parts.password}@", ":***@")
    return urlunsplit(parts._replace(netloc=netloc, query=query))
