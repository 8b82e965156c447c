"""What an operator may set of a host."""

from msgspec import Struct

from actors.host.upkeep.eraser import ErasureSettings
from actors.host.upkeep.sweeper import SweepSettings
from actors.user.quota import Quotas
from roost.node_certificate import NodeCertificate


class HostSettings(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        listen: IP address to listen on for links.
        idle_ms: An actor that nothing concerns is passivated after this long, in milliseconds.
        sweep_every_s: How often idle actors are looked for, in seconds.
        store_linger_s: How long entries are collected before they are stored, in seconds.
        certificate: This node's, for links; None: they are not encrypted.
        hold_back_ms: How long a wake-up waits while another device of the user is there, in milliseconds.
        quotas: How much others may send to a user before it is fetched.
        erasure: How accounts are erased.
        sweep: How old entries are swept.
    """

    listen: str = "127.0.0.1"
    idle_ms: int = 60_000
    sweep_every_s: float = 5.0
    store_linger_s: float = 0.0
    certificate: NodeCertificate | None = None
    hold_back_ms: int = 0
    quotas: Quotas = Quotas()
    erasure: ErasureSettings = ErasureSettings()
    sweep: SweepSettings = SweepSettings()
