"""The cost of a user as an object: memory of an online user actor, and the time it takes for a message.

    python -m benchmarks.user_actors [--users 100000] [--json FILE]

Each user has a device with keys, a stream, and five conversations. The host keeps more around an actor: what
an idle online user costs in a running system is `benchmarks.idle`.
"""

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from actors.user import UserActor
from actors.user import events as ev
from benchmarks.figures import keep
from benchmarks.system import environment
from roost.crypto.keys import DeviceSecrets, device_keys
from roost.ids import uuid7
from storage.account_rows import Device, User
from storage.mailbox_rows import Conversation
from storage.records import MessageRecord, encode_record

_PEERS = 5
_BODY = b"x" * 400
_AT_MS = 1_795_000_000_000


def name_of(number: int) -> str:
    """Return the user id of a number."""
    return uuid7(_AT_MS, number.to_bytes(10, "big"))


def loaded(number: int, keys: dict[str, object]) -> ev.Loaded:
    """Return what a host loads for a user."""
    user, device = name_of(number), f"D{number:09d}"
    return ev.Loaded(
        user=User(user, f"user{number}", "", f"User {number}", _AT_MS),
        devices=(Device(user, device, "phone", _AT_MS, dict(keys)),),
        cursors={device: 1000},
        blocks=(),
        rows=tuple(
            Conversation(
                user, name_of(number + peer), f"user{number + peer}", 900, 900, _AT_MS, _AT_MS, 990, 800
            )
            for peer in range(1, _PEERS + 1)
        ),
        newest="",
        tail=1000,
        handled=1000,
    )


def measure(users: int) -> dict[str, Any]:
    """Load the actors, attach a stream to each, and send each a message."""
    process = psutil.Process()
    keys = device_keys("@someone:localhost", "DEVICE0001", DeviceSecrets.from_random(bytes(range(64))))
    gc.collect()
    before = process.memory_full_info().uss
    actors = [UserActor(loaded(number, keys)) for number in range(users)]
    for number, actor in enumerate(actors):
        attach = ev.StreamAttached(number, f"D{number:09d}", 1000, 1000, background=False, resume=False)
        actor.handle(attach, _AT_MS, 1000)
    gc.collect()
    a_user = (process.memory_full_info().uss - before) / users
    events = []
    for number in range(users):
        sender, device = name_of(number + 1), f"D{number:09d}"
        record = MessageRecord(
            name_of(number),
            name_of(users + number),
            sender,
            "peer",
            "DSENDER001",
            _AT_MS,
            _AT_MS,
            "s",
            {device: _BODY},
        )
        events.append(ev.RecordArrived(1001, record, encode_record(record)))
    begin = time.process_time()
    effects = 0
    for actor, event in zip(actors, events, strict=True):
        if not actor.lacks(event):
            effects += len(actor.handle(event, _AT_MS + 1, 1000))
    spent = time.process_time() - begin
    if effects < users:
        raise SystemExit(f"{effects} effects of {users} messages: the actors did not deliver")
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.user_actors", *sys.argv[1:]],
        "users": users,
        "kb_per_user": round(a_user / 1e3, 2),
        "users_per_gb": round(1e9 / a_user),
        "us_per_message": round(1e6 * spent / users, 1),
    }


def main() -> int:
    """Parse the command line, measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.user_actors", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    keep(measure(options.users), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
