"""Settings of the roles: how many there are, what they keep, what they show."""

from pydantic import Field

from cluster.settings.addresses import HttpUrl
from cluster.settings.group import Group


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
    """The lifecycle of the log."""

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
    insecure: bool = Field(
        False,  # noqa: FBT003 -- a default
        description="Whether links and Ray may leave the machine without a node's certificate, unencrypted.",
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
    insecure: bool = Field(
        False,  # noqa: FBT003 -- a default
        description="Whether metrics may be served beyond loopback without a node's certificate, to anyone "
        "who asks.",
    )
    traces_url: HttpUrl | None = Field(
        None,
        description="OTLP/HTTP endpoint that spans are sent to, for example "
        "`http://127.0.0.1:4318/v1/traces`; needs the extra `otel`. None: no traces.",
    )
    traces_share: float = Field(
        1.0, ge=0, le=1, description="Fraction of messages that are traced, chosen by message ID."
    )
