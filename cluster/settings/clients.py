"""Settings of what clients meet: addresses, encryption, sessions, rate limits, admission control."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cluster.settings.addresses import Network
from cluster.settings.group import Group


class Http(Group):
    """Where clients connect."""

    host: str = Field("127.0.0.1", description="IP address that gateways listen on.")
    port: int = Field(
        8080, ge=0, le=65535, description="TCP port shared by all gateways of a node. 0: any free port."
    )
    insecure: bool = Field(
        False,  # noqa: FBT003 -- a default
        description="Whether gateways may listen beyond loopback without TLS: a proxy in front does it.",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins allowed to call the API from a browser."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks of proxies in front of the gateways, whose word about a client's "
        "address counts for limits and logs. Others' is not asked.",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for",
        description="Header in which they say it, read from its end as far as they are trusted. The other "
        "one may be the client's own.",
    )
    connections_by_address: int = Field(
        1_000,
        ge=1,
        description="Maximum open connections per client address (IPv6: network of 64 bits) and gateway. "
        "Trusted proxies and this machine are not counted.",
    )


class Tls(Group):
    """Encryption of client connections. Without a certificate, a proxy in front must provide it.

    The files are looked at for every new connection: replacing them is enough.
    """

    certificate: Path | None = Field(None, description="PEM file with the certificate chain.")
    key: Path | None = Field(None, description="PEM file with its private key.")
    hsts_s: int = Field(
        365 * 24 * 3600,
        ge=0,
        description="Seconds for which browsers are told to use no other than encrypted connections to this "
        "name (`Strict-Transport-Security`). 0: they are not told.",
    )

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("there is a key, and no certificate: set both, or neither")
        return self


class Tokens(Group):
    """Sessions."""

    access_s: int = Field(600, ge=10, description="Lifetime of an access token, in seconds.")
    refresh_s: int = Field(
        30 * 24 * 3600, ge=60, description="Lifetime of an unused refresh token, in seconds."
    )
    rotate_s: float = Field(
        0,
        ge=0,
        description="Seconds after which the key that signs access tokens is replaced; 0: by "
        "`roost keys rotate` only. On several machines the key ring has to be a file that all of them see.",
    )


class Rate(Group):
    """A token bucket."""

    is_one_setting = True

    rate: float = Field(gt=0, description="Tokens per second.")
    burst: int = Field(gt=0, description="Largest burst, in tokens.")


def _rate(rate: float, burst: int, what: str) -> Any:
    return Field(Rate(rate=rate, burst=burst), description=what)


_MIB = 1024 * 1024
_SHARED = "Counted across all gateways; while Redis is unavailable, each gateway counts by itself."
_LOCAL = "Counted by each gateway on its own."


class Limits(Group):
    """Rate limits."""

    accounts_by_address: Rate = _rate(
        0.1, 60, f"New accounts per client address (IPv6: network of 64 bits). {_SHARED}"
    )
    logins_by_address: Rate = _rate(
        1.0, 200, f"Logins per client address (IPv6: network of 64 bits). {_SHARED}"
    )
    this_machine: Rate = _rate(
        50.0,
        3_000,
        "New accounts, and logins, from the loopback address, as of a proxy on the same machine, "
        f"instead of the two above. {_SHARED}",
    )
    logins_by_user: Rate = _rate(0.2, 20, f"Logins per username, except those of known devices. {_SHARED}")
    logins_by_device: Rate = _rate(0.1, 20, f"Logins per known device and client address. {_SHARED}")
    challenges_by_address: Rate = _rate(
        1.0,
        200,
        f"Challenges to log in with a device's key, per client address (IPv6: network of 64 bits). {_SHARED}",
    )
    password_changes: Rate = _rate(0.02, 10, f"Tries to change the password, per session. {_SHARED}")
    refreshes: Rate = _rate(0.5, 30, f"Token refreshes per session. {_SHARED}")
    claims: Rate = _rate(20.0, 1_000, f"Claims of one-time keys per user. {_SHARED}")
    one_time_keys: Rate = _rate(
        10 / 86_400,
        10,
        f"One-time keys per asking user and owner's device; then the fallback key is given. {_SHARED}",
    )
    transfers: Rate = _rate(
        20.0, 400, f"Requests that bring or take a file or a part of it, per user. {_LOCAL}"
    )
    exports: Rate = _rate(5 / 86_400, 5, f"Exports of everything that is held on a user, per user. {_SHARED}")
    lookups: Rate = _rate(50.0, 1_000, f"Lookups of users and keys per device. {_LOCAL}")
    searches: Rate = _rate(
        1.0, 200, f"Searches of one mailbox for messages that may be old, per device. {_LOCAL}"
    )
    requests: Rate = _rate(200.0, 2_000, f"Requests per device. {_LOCAL}")
    sends: Rate = _rate(500.0, 5_000, f"Messages per device. {_LOCAL}")
    typing: Rate = _rate(2.0, 10, f"Typing notifications per device. {_LOCAL}")
    bytes_by_device: Rate = _rate(
        2.0 * _MIB, 64 * _MIB, f"Bytes of messages per device; a message counts 512 at least. {_LOCAL}"
    )
    bytes_by_pair: Rate = _rate(
        0.5 * _MIB, 16 * _MIB, f"Bytes of messages per sending user and recipient. {_LOCAL}"
    )
    bytes_to_user: Rate = _rate(
        4.0 * _MIB, 64 * _MIB, f"Bytes of messages per recipient, whoever sends them. {_LOCAL}"
    )


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
        "milliseconds; four times as long while the gateway has at most 64 unanswered messages.",
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
