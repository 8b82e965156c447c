"""The story of a message from end to end, in sentences."""

from collections.abc import Iterable, Iterator

from sim.checker.facts import Finding, Message
from sim.checker.verdict import Story
from sim.ledger import Event, Kind

LONGEST = 60
"""Lines of a story; of a longer one, the middle is left out."""

AROUND_US = 1_000_000
"""Faults that struck this long before the story began belong to it."""

BEFORE = 8
"""Events told of a device before the one that is the finding, where no message is."""

ABOUT_ONE = (
    Kind.INTENT,
    Kind.ACCEPTED,
    Kind.FAILED,
    Kind.ARRIVED,
    Kind.RECEIVED,
    Kind.UNDECRYPTABLE,
    Kind.STORED,
    Kind.COPIED,
    Kind.COPY_STORED,
    Kind.REFUSED,
    Kind.EXPORTED,
)

AROUND = (Kind.CRASHED, Kind.MISSED, Kind.USED, Kind.ERASED)
"""Told of the owner's devices from when a message was sent."""

COVERS = (Kind.TAKEN, Kind.READ, Kind.DELIVERED_TOLD, Kind.READ_TOLD)

SENTENCES = {
    Kind.INTENT: "{user} ({device}) hands message {id} for {peer} to the SDK.",
    Kind.ACCEPTED: "{user} ({device}) is told that {id} is accepted, number {seq} in {peer}'s mailbox.",
    Kind.FAILED: "{user} ({device}) gives {id} up for good: {note}.",
    Kind.ARRIVED: "{id} arrives at {user} ({device}) as number {seq}.",
    Kind.RECEIVED: "The app of {user} ({device}) is told of {id} from {peer}, number {seq}.",
    Kind.TAKEN: "The app of {user} ({device}) has taken everything up to {seq}; this is acknowledged.",
    Kind.READ: "{user} ({device}) marks what {peer} wrote as read up to {seq}.",
    Kind.DELIVERED_TOLD: "{user} ({device}) is told that {peer} has everything up to {seq}.",
    Kind.READ_TOLD: "{user} ({device}) is told that {peer} has read up to {seq}.",
    Kind.UNDECRYPTABLE: "{user} ({device}) cannot open {id}, number {seq}: {note}.",
    Kind.MISSED: "{user} ({device}) is told that entries up to {seq} are gone.",
    Kind.CRASHED: "The app of {user} ({device}) is killed.",
    Kind.STORED: "The audit finds {id} in the server's store for {user} ({device}), number {seq}.",
    Kind.COPIED: "The app of {user} ({device}) is told of the copy of {id} to {peer}, number {seq}.",
    Kind.COPY_STORED: "The audit finds the copy of {id} in the server's store for {user} ({device}).",
    Kind.DEVICE: "Device {device} of {user} exists from now on.",
    Kind.USED: "The session of {user} ({device}) is renewed: the server sees it in use.",
    Kind.REFUSED: "{user} ({device}) is told that the mailbox of {peer} is full for {id}.",
    Kind.EXPORTED: "The export of {user} has {id} from {peer}, number {seq}.",
    Kind.ERASED: "{user} ({device}) deletes the account.",
    Kind.LEFT: "The scan after the erasure of {user}: {note}",
    Kind.PUSHED: "A wake-up comes for {user} ({device}).",
    Kind.FAULT: "Fault: {note}.",
}

ENDS = {
    "settled": "The run ends for {user} ({device}): nothing is in flight.",
    "open": "The run ends for {user} ({device}): it is offline, or something is in flight.",
    "audited": "The server's store was read to its end for {user} ({device}).",
}


def sentence(event: Event) -> str:
    """Return what happened as a sentence."""
    end = ENDS.get(event.note, "The run ends for {user} ({device}): {note}.")
    return SENTENCES.get(Kind(event.kind), end).format_map(event._asdict())


def story(owner: str, finding: Finding, events: Iterable[Event], faults: Iterable[Event]) -> Story:
    """Tell a finding from end to end.

    Args:
        owner: Whose mailbox it is about.
        finding: What is wrong.
        events: Of the mailbox, in the order of time.
        faults: Of the whole run, in the order of time.
    """
    chosen = list(
        _of_messages(owner, finding.messages, events) if finding.messages else _before(finding, events)
    )
    begin_us = min((event.at_us for event in chosen if event.kind != Kind.DEVICE), default=finding.at_us)
    end_us = max((event.at_us for event in chosen), default=finding.at_us)
    chosen += [fault for fault in faults if begin_us - AROUND_US <= fault.at_us <= end_us]
    chosen.sort(key=lambda event: event.at_us)
    lines = [f"{(event.at_us - begin_us) / 1e6:+10.6f} s  {sentence(event)}" for event in chosen]
    if len(lines) > LONGEST:
        half = LONGEST // 2
        lines[half:-half] = [f"... {len(lines) - 2 * half} more events ..."]
    return Story(finding.kind, begin_us, finding.title, lines)


def _of_messages(owner: str, messages: tuple[Message, ...], events: Iterable[Event]) -> Iterator[Event]:
    """Yield what names one of the messages, the first of each that covers it, and crashes in between."""
    keys = {message.key for message in messages}
    senders = {message.sender for message in messages}
    upto = max(message.true_number for message in messages)
    since_us = min(message.intent_us for message in messages)
    covered: set[tuple[int, str, str]] = set()
    for event in events:
        other = event.peer if event.user == owner else event.user
        if event.kind in ABOUT_ONE:
            wanted = (other, event.id) in keys
        elif event.kind in COVERS:
            mark = event.kind, event.user, event.device
            about = event.kind == Kind.TAKEN or other in senders
            wanted = about and event.at_us >= since_us and 0 < upto <= event.seq and mark not in covered
            if wanted:
                covered.add(mark)
        elif event.kind in {Kind.DEVICE, Kind.CUT}:
            wanted = True
        else:
            wanted = event.kind in AROUND and event.at_us >= since_us
        if wanted:
            yield event


def _before(finding: Finding, events: Iterable[Event]) -> list[Event]:
    """Return what the device saw until the finding was complete."""
    seen = [event for event in events if (event.user, event.device) == (finding.user, finding.device)]
    last = next((n for n, event in enumerate(seen) if event.at_us > finding.at_us), len(seen))
    return seen[max(0, last - BEFORE) : last + 1]
