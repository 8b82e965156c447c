"""The specification of a run: one struct that decides all of it, given to every worker."""

from msgspec import Struct

from sim.limits import Limits


class Spec(Struct, frozen=True):
    """One run.

    Attributes:
        server: Base URL of the Roost that is tried.
        fcm: Address of its embedded push endpoint, '' if there is none to look at.
        folder: Where workers put ledgers and figures, and find the parent's word.
        name: Prefix of the usernames.
        users: How many.
        rate: Messages a second at the most.
        duration_s: How long they talk.
        seed: Decides who does what when.
        scenario: Name in `sim.scenarios`.
        workers: Processes.
        devices: Share of users with a second device.
        polls: Share of users whose network lets no WebSocket through.
        skewed: Clocks of phones are wrong by hours.
        settle_s: How long to wait at the end for what is in flight.
        light: Phones that encrypt nothing, for pure load.
        ca: PEM file of the authorities that clients believe; None for those of the machine.
        limits: What the system sweeps, and when a mailbox is full.
    """

    server: str
    fcm: str
    folder: str
    name: str
    users: int
    rate: float
    duration_s: float
    seed: int
    scenario: str = "steady"
    workers: int = 1
    devices: float = 0.1
    polls: float = 0.05
    skewed: bool = False
    settle_s: float = 60.0
    light: bool = False
    ca: str | None = None
    limits: Limits = Limits()
