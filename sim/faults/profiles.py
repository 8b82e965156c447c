"""The faults by name: what each does and what must hold. Pure: no system, no clock.

A promise says what a run with this fault must show, and, where a part of one machine cannot promise more,
what it may cost and why.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

Act = Literal["kill", "flush", "pause", "cut", "slow", "fcm", "fill", "skew"]
Need = Literal["processes", "proxies", "fcm", "disk"]

MIXED: Final = "mixed"
CLIENTS: Final = "clients"
DISK: Final = "disk"


class ProfileUnknown(ValueError):  # noqa: N818 -- named for what happened
    """There is no fault of this name; the sentence lists those there are."""


class Profile(Struct, frozen=True):
    """One fault.

    Attributes:
        name: As ``--faults`` takes it.
        act: What is done.
        target: To whom: a role or server as ``roost status`` names it, ``disk``, ``clients``.
        does: What it does, as a sentence.
        holds: What must hold all the same, as a sentence.
        lasts_s: The shortest and the longest time it lasts; zero for what is over at once.
        amount: Least and most of it: seconds of a delay, hours of a clock.
        needs: What the system must offer for it.
    """

    name: str
    act: Act
    target: str
    does: str
    holds: str
    lasts_s: tuple[float, float] = (0.0, 0.0)
    amount: tuple[float, float] = (0.0, 0.0)
    needs: frozenset[Need] = frozenset()


_PAUSE_S: Final = (4.0, 8.0)
_SLOW_S: Final = (5.0, 10.0)
_FULL_S: Final = (6.0, 12.0)
"""Long enough for the store to use up what it had set aside."""

_NOTHING_LOST: Final = "Nothing accepted is lost, doubled or reordered"
_SERVERS: Final = {"broker": "kafka", "mongo": "mongo", "redis": "redis"}

_KILLED: Final = {
    "host": f"{_NOTHING_LOST}; another host, or its next incarnation, replays its shards from the log.",
    "router": f"{_NOTHING_LOST}; its shards are read again from what was stored.",
    "gateway": f"{_NOTHING_LOST}; clients connect again and repeat what had no answer.",
    "pusher": "No wake-up is forgotten; one may come twice.",
    "coordinator": f"{_NOTHING_LOST}, and nothing moves while it is away.",
    "broker": f"{_NOTHING_LOST}: what was confirmed is on the disk.",
    "mongo": f"{_NOTHING_LOST}: a write that was confirmed is on the disk. Requests that need it get 503.",
    "redis": f"{_NOTHING_LOST}; presence is unknown for a while and limits count locally.",
}
_PAUSED: Final = {
    "host": f"{_NOTHING_LOST}; other hosts take over its shards, and it gives them up when it wakes.",
    "router": f"{_NOTHING_LOST}; other routers take over, and what both read is stored once.",
    "gateway": f"{_NOTHING_LOST}; clients notice the silence, or wait.",
    "pusher": "No wake-up is forgotten; one may come twice.",
    "coordinator": f"{_NOTHING_LOST}, and nothing moves while it hangs.",
    "broker": f"{_NOTHING_LOST}; sends are answered late or with 503 and are repeated under the same id.",
    "mongo": f"{_NOTHING_LOST}; what needs the store waits or gets 503.",
    "redis": f"{_NOTHING_LOST}; presence is late and limits count locally.",
}
_CUT_HOLDS: Final = {
    "kafka": f"{_NOTHING_LOST}; a send meanwhile gets 503 with Retry-After and is repeated.",
    "mongo": f"{_NOTHING_LOST}; messages are accepted meanwhile, and stored afterwards.",
    "redis": f"{_NOTHING_LOST}; presence is unknown for a while and limits count locally.",
}
_FCM: Final = (
    ("quota", "answers every push with 429 and Retry-After", "Every wake-up comes after the quota is back."),
    ("unavailable", "answers every push with 503", "Every wake-up comes after it is back."),
    (
        "unregistered",
        "says that every token it is handed is not registered",
        "The token is dropped, no message is lost: the app gets it when it opens and registers again.",
    ),
    ("slow", "takes seconds to answer a push", "Every wake-up comes, late; other pushes do not wait for it."),
)


def _processes() -> list[Profile]:
    processes: frozenset[Need] = frozenset({"processes"})
    kills = [
        Profile(
            name=f"kill-{who}",
            act="kill",
            target=_SERVERS.get(who, who),
            does=f"Ends {_one(who)} with kill -9.",
            holds=holds,
            needs=processes,
        )
        for who, holds in _KILLED.items()
    ]
    pauses = [
        Profile(
            name=f"pause-{who}",
            act="pause",
            target=_SERVERS.get(who, who),
            does=f"Stops {_one(who)} with SIGSTOP, and lets it go on.",
            holds=holds,
            lasts_s=_PAUSE_S,
            needs=processes,
        )
        for who, holds in _PAUSED.items()
    ]
    return kills + pauses


def _one(who: str) -> str:
    return f"the embedded {who}" if who in _SERVERS else f"a {who}"


def _network() -> list[Profile]:
    proxies: frozenset[Need] = frozenset({"processes", "proxies"})
    cuts = [
        Profile(
            name=f"cut-{who}",
            act="cut",
            target=who,
            does=f"Breaks every connection to {who} and refuses new ones.",
            holds=holds,
            lasts_s=_PAUSE_S,
            needs=proxies,
        )
        for who, holds in _CUT_HOLDS.items()
    ]
    slows = [
        Profile(
            name=f"slow-{who}",
            act="slow",
            target=who,
            does=f"Adds 50 to 200 ms to every round trip to {who}.",
            holds=f"{_NOTHING_LOST}; everything that needs it is that much slower.",
            lasts_s=_SLOW_S,
            amount=(0.05, 0.2),
            needs=proxies,
        )
        for who in _CUT_HOLDS
    ]
    return cuts + slows


def _outside() -> list[Profile]:
    pushes = [
        Profile(
            name=f"fcm-{mode}",
            act="fcm",
            target="fcm",
            does=f"The push service {does}.",
            holds=holds,
            lasts_s=_SLOW_S,
            amount=(1.0, 3.0),
            needs=frozenset({"fcm"}),
        )
        for mode, does, holds in _FCM
    ]
    return [
        Profile(
            name="flush-redis",
            act="flush",
            target="redis",
            does="Empties the cache with FLUSHALL.",
            holds=f"{_NOTHING_LOST}; no session ends.",
            needs=frozenset({"processes"}),
        ),
        *pushes,
        Profile(
            name="full-disk",
            act="fill",
            target=DISK,
            does="Leaves no free byte on the file system of the data folder.",
            holds=f"{_NOTHING_LOST}; what cannot be stored stays in the log until there is room.",
            lasts_s=_FULL_S,
            needs=frozenset({"processes", "disk"}),
        ),
        Profile(
            name="skewed-clocks",
            act="skew",
            target=CLIENTS,
            does="Sets every client's clock wrong by up to three days, from the start.",
            holds=f"{_NOTHING_LOST}; clients take the time from the server.",
            amount=(-72.0, 72.0),
        ),
    ]


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {each.name: each for each in (*_processes(), *_network(), *_outside())}
)
"""Every fault by name."""

NOT_MIXED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "full-disk": "it needs root",
        "fcm-unregistered": "phones that lost their token are no longer woken",
        "skewed-clocks": "it is there for the whole run, not for a while",
    }
)
"""What ``mixed`` leaves out, and why."""

MIXED_DOES: Final = "All faults, drawn at random, but " + "; ".join(
    f"{name} ({why})" for name, why in NOT_MIXED.items()
)


def names_in(text: str) -> list[str]:
    """Return the names that ``--faults`` was given."""
    return [part.strip() for part in text.split(",")]


def parse(text: str) -> list[Profile]:
    """Return the faults that ``--faults`` names: names with commas between, ``mixed`` for most of them.

    Raises:
        ProfileUnknown: A name is none of ours, or there is none.
    """
    wanted: dict[str, Profile] = {}
    for name in names_in(text):
        if name == MIXED:
            wanted |= {each: profile for each, profile in PROFILES.items() if each not in NOT_MIXED}
        elif name in PROFILES:
            wanted[name] = PROFILES[name]
        else:
            raise ProfileUnknown(f"There is no fault {name!r}. There are: {', '.join([MIXED, *PROFILES])}.")
    return list(wanted.values())


def listed() -> str:
    """Return what ``roost sim --faults list`` prints: each with what it does and what must hold."""
    width = max(map(len, PROFILES))
    lines = [f"{each.name:<{width}}  {each.does} Holds: {each.holds}" for each in PROFILES.values()]
    return "\n".join([f"{MIXED:<{width}}  {MIXED_DOES}.", *lines])
