"""The settings of a host, from those of the operator."""

from actors.host import HostSettings
from actors.host.upkeep.eraser import ErasureSettings
from actors.host.upkeep.sweep_rules import Keep
from actors.host.upkeep.sweeper import SweepSettings
from actors.user.quota import UNBOUNDED, Budget, Quotas
from cluster.resources import node_certificate
from cluster.settings import Settings

_DAY_MS = 86_400_000


def host_settings(settings: Settings, listen: str) -> HostSettings:
    """Return the settings of a host that listens at this address.

    Raises:
        RoostError: This node's certificate cannot be used.
    """
    return HostSettings(
        listen=listen,
        idle_ms=settings.actors.idle_ms,
        sweep_every_s=settings.actors.sweep_every_s,
        store_linger_s=settings.actors.store_linger_ms / 1000,
        certificate=node_certificate(settings),
        hold_back_ms=round(settings.push.hold_back_s * 1000),
        quotas=_quotas(settings),
        erasure=ErasureSettings(
            access_ms=(settings.tokens.access_s + 60) * 1000,
            reserved_ms=settings.retention.username_days * _DAY_MS,
        ),
        sweep=_sweep(settings),
    )


def _quotas(settings: Settings) -> Quotas:
    def budget(messages: int, size: int) -> Budget:
        return Budget(messages or UNBOUNDED, size or UNBOUNDED)

    of = settings.quota
    return Quotas(
        mailbox=budget(of.messages, of.megabytes << 20),
        strangers=budget(of.strangers_messages, of.strangers_kilobytes << 10),
        stranger=budget(of.stranger_messages, of.stranger_kilobytes << 10),
        request=budget(of.request_messages, of.request_kilobytes << 10),
        forget_ms=of.stranger_days * _DAY_MS,
    )


def _sweep(settings: Settings) -> SweepSettings:
    of = settings.retention
    keep = Keep(
        entry_ms=round(of.entry_days * _DAY_MS),
        delivered_ms=round(of.delivered_days * _DAY_MS),
        messages=of.mailbox_messages,
        size=of.mailbox_megabytes << 20,
        device_ms=round(of.device_days * _DAY_MS),
    )
    return SweepSettings(keep, pause_s=of.sweep_pause_ms / 1000, every_s=of.sweep_every_s)
