"""Random histories of a conversation, each with what it shows in the end.

    python -m tests.vectors.threads --seed 1 --count 200 > threads.json

An array of objects with ``me``, ``peer``, ``now_ms``, ``events`` and ``expected``. The events are those of
`roost.client.thread` by their ``type``; content is what is sealed, in unpadded base64. ``expected`` are the
messages in their order, every member given; emoji have their people sorted.
"""

import argparse
import sys
from random import Random
from typing import Any, Final

import msgspec

from roost.client import thread
from roost.client.content import (
    Attachment,
    Delete,
    Edit,
    FileReference,
    Reaction,
    Text,
    Timer,
    encode,
    to_members,
)
from roost.ids import uuid7
from roost.wire import unpadded

ME: Final = "alice"
PEER: Final = "bob"
START_MS: Final = 1_795_000_000_000

_ODD: Final = (
    b"\xffroost\x01" + b'{"kind":"poll","question":"?"}',
    b"\xffroost\x01" + b'{"kind":"edit","of":7}',
    b"\xffroost\x02" + b"{}",
    b"\xffroost\x01" + b"[",
    b"\xfe not text",
    b"",
)
_EMOJI: Final = ("👍", "❤️", "😂", "")
_DEVICES: Final = {ME: ("A1", "A2"), PEER: ("B1", "B2")}


class Drawing:
    """Draws one history.

    Args:
        seed: Of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._now_ms = START_MS
        self._seq = {ME: 1, PEER: 1}
        self._known: list[thread.Written] = []
        self._later: list[thread.Written] = []
        self._remarks: list[thread.Written] = []
        self._renamed: set[str] = set()
        self.events: list[thread.Event] = []

    def history(self, steps: int) -> list[thread.Event]:
        """Draw so many steps."""
        kinds = ("write", "about", "repeat", "late", "unreadable", "progress", "receipt")
        for _ in range(steps):
            self._now_ms += self._random.randrange(1, 5_000)
            kind = self._random.choices(kinds, (8, 8, 2, 2, 1, 6, 3))[0]
            event = getattr(self, f"_{kind}")()
            if event is not None:
                self.events.append(event)
        return self.events

    @property
    def now_ms(self) -> int:
        """The time at which the history is looked at."""
        return self._now_ms + self._random.randrange(0, 20_000)

    def _id(self) -> str:
        return uuid7(self._now_ms, self._random.randbytes(10))

    def _numbered(self, owner: str) -> int:
        if self._random.random() < 0.02:
            self._seq[owner] += 2**32 + 7  # the log began again
        self._seq[owner] += self._random.randrange(1, 4)
        return self._seq[owner]

    def _message(self, content: bytes) -> thread.Written:
        author = self._random.choice((ME, PEER))
        device = self._random.choice(_DEVICES[author])
        here = (author, device) == (ME, "A1")
        seq = None if here else self._numbered(PEER if author == ME else ME)
        ends = self._random.random() < 0.15
        end_ms = self._now_ms + self._random.randrange(1, 60_000) if ends else None
        at_ms = self._now_ms
        return thread.Written(author, device, self._id(), content, at_ms, at_ms - 3, seq, end_ms)

    def _write(self) -> thread.Event | None:
        event = self._message(self._content())
        self._known.append(event)
        if self._random.random() < 0.2:
            self._later.append(event)
            return None
        return event

    def _content(self) -> bytes:
        random = self._random
        reply = random.choice(self._known).id if self._known and random.random() < 0.3 else None
        match random.choices(("text", "file", "timer", "odd"), (8, 2, 1, 1))[0]:
            case "text":
                return encode(Text(random.choice(("hello", "Grüße", "多謝", "a\nb", "")), reply))
            case "file":
                key, digest = random.randbytes(32), random.randbytes(32)
                file = FileReference(random.randbytes(16).hex(), key, digest, 9, "a.png", "image/png", 4, 3)
                return encode(Attachment(file, random.choice((None, "look")), reply))
            case "timer":
                return encode(Timer(random.choice((None, 60, 3600))))
            case _:
                return random.choice(_ODD)

    def _about(self) -> thread.Event:
        event = self._message(self._remark())
        self._remarks.append(event)
        return event

    def _remark(self) -> bytes:
        random = self._random
        target = random.choice(self._known).id if self._known and random.random() < 0.9 else self._id()
        match random.choices(("reaction", "edit", "delete"), (5, 4, 2))[0]:
            case "reaction":
                return encode(Reaction(target, random.choice(_EMOJI)))
            case "edit":
                return encode(Edit(target, f"edited {random.randrange(100)}"))
            case _:
                return encode(Delete(target))

    def _repeat(self) -> thread.Event | None:
        again = self._random.choice(self.events) if self.events else None
        return None if isinstance(again, thread.Written) and again.id in self._renamed else again

    def _late(self) -> thread.Event | None:
        return self._later.pop(self._random.randrange(len(self._later))) if self._later else None

    def _unreadable(self) -> thread.Event:
        hidden = self._message(b"at last")
        if self._random.random() < 0.5:
            self._later.append(hidden)
        return thread.Unreadable(
            *(hidden.author, hidden.device, hidden.id, hidden.at_ms, hidden.sent_at_ms),
            *("unknown_device", hidden.seq),
        )

    def _progress(self) -> thread.Event | None:
        known = self._remarks if self._random.random() < 0.4 else self._known
        here = [each for each in known if each.device == "A1"]
        if not here:
            return None
        id_ = self._random.choice(here[-6:]).id
        match self._random.choices(range(5), (8, 2, 1, 1, 1))[0]:
            case 0:
                return thread.Accepted(id_, self._numbered(PEER), self._now_ms)
            case 1:
                return thread.Delivered((id_,))
            case 2:
                return thread.Failed(id_, self._random.choice(("too_large", "id_expired")))
            case 3:
                return thread.Expired(id_)
            case _:
                self._renamed.add(id_)
                return thread.Renamed(id_, self._id())

    def _receipt(self) -> thread.Event:
        upto = max(0, self._seq[PEER] - self._random.randrange(0, 6))
        return thread.Receipt(upto, upto if self._random.random() < 0.4 else 0)


def history(seed: int) -> dict[str, Any]:
    """Return one history and what it shows."""
    drawing = Drawing(seed)
    events = drawing.history(Random(seed).randrange(5, 60))
    now_ms = drawing.now_ms
    fold = thread.Thread(ME, PEER)
    for event in events:
        fold.apply(event)
    return {
        "seed": seed,
        "me": ME,
        "peer": PEER,
        "now_ms": now_ms,
        "events": [members_of(event) for event in events],
        "expected": [shown(message) for message in fold.messages(now_ms)],
        "timer_s": fold.timer_s,
    }


def members_of(event: thread.Event) -> dict[str, Any]:
    """Return an event as JSON has it."""
    members: dict[str, Any] = msgspec.to_builtins(event)
    if isinstance(event, thread.Written):
        members["content"] = unpadded(event.content)
    return members


def shown(message: thread.Message) -> dict[str, Any]:
    """Return a message as JSON has it, every member given."""
    members = msgspec.structs.asdict(message)
    del members["peer"]
    if message.file is not None:
        members["file"] = to_members(Attachment(message.file))["file"]
    return members


def main() -> None:
    """Write histories to the standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.threads")
    parser.add_argument("--seed", type=int, default=1, help="of the first one")
    parser.add_argument("--count", type=int, default=200, help="how many")
    arguments = parser.parse_args()
    histories = [history(arguments.seed + number) for number in range(arguments.count)]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(histories)).decode() + "\n")


if __name__ == "__main__":
    main()
