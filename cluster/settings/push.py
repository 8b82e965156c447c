"""Settings of wake-ups, whoever carries them."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from cluster.settings.group import Group
from storage.push_services import KNOWN, PushServices, host_pattern, internal_origin

PushHost = Annotated[str, AfterValidator(host_pattern)]
PushOrigin = Annotated[str, AfterValidator(internal_origin)]


class Push(Group):
    """When devices are woken."""

    hold_back_s: float = Field(
        0.0,
        ge=0,
        le=60,
        description="Seconds for which a wake-up waits while another device of the user has a stream in "
        "the foreground; it is not sent if the device that it is for acknowledges the message by then. 0: "
        "what other devices do holds up no wake-up.",
    )


class WebPush(Group):
    """Wake-ups through the push services of browsers, and of UnifiedPush."""

    subject: str | None = Field(
        None,
        pattern=r"^(mailto:[!-~]+@[!-~]+|https://[!-~]+)$",
        max_length=200,
        description="Whom a push service asks when we disturb it: a `mailto:` or `https:` URL. None: "
        "`https://` and the server name.",
    )
    hosts: tuple[PushHost, ...] = Field(
        KNOWN,
        description="Push services that may be sent to, in place of these: names, with a port unless it is "
        "443; `*.NAME`: every name below it; `*`: all, for people with UnifiedPush servers of their own. "
        "They must be at addresses of the public internet.",
    )
    internal: tuple[PushOrigin, ...] = Field(
        (),
        description="Origins of your own push services, such as `https://push.example.org:8443`, which may "
        "be in a private network; without TLS on loopback only. The embedded endpoint is one of them.",
    )
    ca: tuple[Path, ...] = Field(
        (),
        description="PEM files of authorities whose certificates these may show, besides those of the "
        "machine; public services may not. With `ROOST_NODE__EMBEDDED` the cluster's is one of them.",
    )
    ttl_s: int = Field(
        4 * 7 * 24 * 3600,
        ge=0,
        le=2_419_200,
        description="Seconds that a push service keeps an undelivered wake-up.",
    )
    attempts: int = Field(
        10,
        ge=1,
        description="Attempts to send a wake-up before it goes to the topic `push.dead`; the default takes "
        "about three minutes, pauses included.",
    )
    concurrency: int = Field(64, ge=1, description="Wake-ups that one pusher sends concurrently.")
    host_concurrency: int = Field(16, ge=1, description="Of these, to one host.")
    backoff_s: float = Field(
        1.0,
        gt=0,
        description="First pause between attempts, in seconds; doubled each time, with full jitter.",
    )
    backoff_max_s: float = Field(60.0, gt=0, description="Longest pause between attempts, in seconds.")

    @property
    def services(self) -> PushServices:
        """The services that may be sent to."""
        return PushServices(self.hosts, self.internal)
