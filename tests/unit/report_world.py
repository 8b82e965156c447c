"""A made-up run of a minute with three faults, as realistic as needed to look at its report."""

import random
from operator import itemgetter

from sim.checker import AUDITED
from sim.ledger import Event, Kind
from sim.report.figures import RunInfo, Usage
from sim.report.recovery import Fault

SECOND = 1_000_000
STARTED_US = 500 * SECOND
FAULTS = [
    # name, target, at, for, until when messages wait, of which share of the mailboxes
    ("kill", "host-2", 12.0, 0.0, 14.6, 0.5),
    ("pause", "broker", 27.0, 3.0, 30.4, 1.0),
    ("kill", "gateway-1", 43.0, 0.0, 44.1, 0.3),
]
USERS = 200


def history(seed: int, rate: int = 40, seconds: int = 60) -> list[Event]:
    """Return the events of a run in the order of time."""
    random_ = random.Random(seed)
    devices = [Event(STARTED_US - SECOND, Kind.DEVICE, f"user{n:04d}", f"PHONE{n:05d}") for n in range(USERS)]
    free_us = [0] * USERS
    numbers = [0] * USERS
    events = list(devices)
    at_us = STARTED_US
    count = 0
    while (at_us := at_us + int(random_.expovariate(rate) * SECOND)) < STARTED_US + seconds * SECOND:
        sender, to = random_.sample(range(USERS), 2)
        count += 1
        waits_us = _waits(at_us, to)
        accepted_us = at_us + waits_us + int(random_.lognormvariate(9.2, 0.35))
        # A mailbox is in order: nothing overtakes.
        received_us = max(accepted_us + int(random_.lognormvariate(8.6, 0.5)), free_us[to] + 50)
        free_us[to] = received_us
        numbers[to] += 256
        events.extend(_message(count, (sender, to), numbers[to], (at_us, accepted_us, received_us)))
    end_us = STARTED_US + (seconds + 5) * SECOND
    for note, later_us in (("settled", 0), (AUDITED, 30 * SECOND)):
        events.extend(
            device._replace(at_us=end_us + later_us, kind=Kind.CUT, note=note) for device in devices
        )
    return sorted(events, key=itemgetter(0))


def _waits(at_us: int, to: int) -> int:
    for _, _, strikes_s, _, until_s, share in FAULTS:
        since = (at_us - STARTED_US) / SECOND
        if strikes_s <= since < until_s and to < share * USERS:
            return int((until_s - since) * SECOND)
    return 0


def _message(count: int, pair: tuple[int, int], seq: int, times: tuple[int, int, int]) -> list[Event]:
    (sender, to), (at_us, accepted_us, received_us) = pair, times
    ann, bob = (f"user{sender:04d}", f"PHONE{sender:05d}"), (f"user{to:04d}", f"PHONE{to:05d}")
    id_ = f"0193f2c1-{count >> 16:04x}-7{count & 0xFFF:03x}-8abc-{count:012x}"
    end_us = STARTED_US + 90 * SECOND
    return [
        Event(at_us, Kind.INTENT, *ann, bob[0], id_, 0, count),
        Event(accepted_us, Kind.ACCEPTED, *ann, bob[0], id_, seq),
        Event(received_us - 20, Kind.ARRIVED, *bob, ann[0], id_, seq),
        Event(received_us, Kind.RECEIVED, *bob, ann[0], id_, seq, count),
        Event(received_us + 30, Kind.TAKEN, *bob, seq=seq),
        Event(received_us + 40, Kind.READ, *bob, peer=ann[0], seq=seq),
        Event(received_us + 9_000, Kind.DELIVERED_TOLD, *ann, bob[0], seq=seq),
        Event(received_us + 9_500, Kind.READ_TOLD, *ann, bob[0], seq=seq),
        Event(end_us, Kind.STORED, *bob, ann[0], id_, seq),
    ]


def run_info(seed: int, seconds: int = 60) -> RunInfo:
    """Return what the runner would know of that run."""
    random_ = random.Random(seed)
    roles = {"gateway": 95, "router": 62, "host": 140, "pusher": 58, "coordinator": 60, "broker": 210}
    roles |= {"mongo": 180, "redis": 14, "harness": 260}
    usage = [
        Usage(STARTED_US + second * SECOND, role, second * base / 900, base + random_.random() * second / 9)
        for second in range(seconds + 5)
        for role, base in roles.items()
    ]
    return RunInfo(
        seed=seed,
        users=USERS,
        command=f"roost sim --users {USERS} --rate 40 --duration 60 --seed {seed} --faults mixed",
        started_us=STARTED_US,
        ended_us=STARTED_US + seconds * SECOND,
        date="23 November 2026, 07:40 UTC",
        environment={
            "machine": "2 cores, 8 GB",
            "system": "Linux 6.8, CPython 3.11.7",
            "servers": "embedded",
        },
        usage=usage,
        faults=[
            Fault(name, target, _us(strikes_s), _us(strikes_s + took_s))
            for name, target, strikes_s, took_s, _, _ in FAULTS
        ],
    )


def _us(seconds: float) -> int:
    return STARTED_US + int(seconds * SECOND)
