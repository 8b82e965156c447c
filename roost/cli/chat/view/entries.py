"""A conversation as the list of what is shown of it: days, and messages under a heading each."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, tzinfo
from typing import NamedTuple

from roost.cli.chat.view.harmless import on_screen, shortened
from roost.cli.chat.view.words import day_name, how_long, size_of, ticks, why_unreadable
from roost.cli.moments import local
from roost.client import Message
from roost.client.filenames import safe_name

_QUOTED = 60


class Day(NamedTuple):
    """The day of the messages below it."""

    key: str
    name: str


class Entry(NamedTuple):
    """A message as it is shown; all of its text is harmless to a screen.

    Attributes:
        key: Names it in the list.
        message: Which it is.
        who: Its author, as the reader calls them.
        time: Of the day.
        quoted: What it answers; empty if it answers none.
        body: What it says.
        notes: Reactions, and that it was edited or disappears.
        ticks: How far one's own message got.
        plain: The body is its author's own words; else it is said about the message.
    """

    key: str
    message: Message
    who: str
    time: str
    quoted: str
    body: str
    notes: str
    ticks: str
    plain: bool


def entries(
    messages: Iterable[Message], quoted: Mapping[str, Message], now_ms: int, zone: tzinfo | None = None
) -> list[Day | Entry]:
    """Return what is shown of these messages.

    Args:
        messages: The oldest first.
        quoted: Messages that others answer, by id, as far as they are known here.
        now_ms: The time on the server's clock.
        zone: Whose days and hours; None: this machine's.
    """
    today = local(now_ms, zone).date()
    found: list[Day | Entry] = []
    last: date | None = None
    for message in messages:
        at = local(message.at_ms, zone)
        if at.date() != last:
            last = at.date()
            found.append(Day(f"day-{last:%Y-%m-%d}-{len(found)}", day_name(last, today)))
        found.append(_entry(message, quoted.get, f"{at:%H:%M}", now_ms))
    return found


def answered(messages: Iterable[Message]) -> set[str]:
    """Return the ids of the messages that these answer."""
    return {each.reply_to for each in messages if each.reply_to is not None}


def summary(message: Message) -> str:
    """Return a message in a few words: where it is quoted, found, or answered."""
    who = "you" if message.mine else message.author
    return f"{who}: {shortened(_body(message), _QUOTED)}"


def _entry(message: Message, quoted: Callable[[str], Message | None], time: str, now_ms: int) -> Entry:
    target = None if message.reply_to is None else quoted(message.reply_to)
    about = "" if message.reply_to is None else "a message that is not here"
    return Entry(
        key=f"{message.author}/{message.device}/{message.id}",
        message=message,
        who="you" if message.mine else message.author,
        time=time,
        quoted=about if target is None else summary(target),
        body=on_screen(_body(message)),
        notes=_notes(message, now_ms),
        ticks=ticks(message),
        plain=message.kind == "text",
    )


def _body(message: Message) -> str:  # noqa: PLR0911 -- a line a kind
    match message.kind:
        case "text":
            return message.text
        case "file" if message.file is not None:
            file = message.file
            return f"[file: {safe_name(file.name)}, {size_of(file.size)}] {message.text}".rstrip()
        case "timer" if message.expires_in_s is not None:
            return f"[messages disappear after {how_long(message.expires_in_s)}]"
        case "timer":
            return "[messages no longer disappear]"
        case "undecryptable":
            return f"[{why_unreadable(message.code)}]"
        case "unknown":
            return f"[a message that this version cannot show: {message.code}]"
        case _:
            return "[disappeared]" if message.state == "expired" else "[deleted]"


def _notes(message: Message, now_ms: int) -> str:
    notes = [f"{emoji} {_people(people, message.peer)}" for emoji, people in message.reactions.items()]
    notes += ["edited"] if message.edited_at_ms is not None else []
    if message.expires_at_ms is not None and message.kind not in ("deleted", "timer"):
        left_s = max(1, (message.expires_at_ms - now_ms) // 1000)
        notes.append(f"disappears in {how_long(_rounded(left_s))}")
    return on_screen(" · ".join(notes))


def _people(names: Iterable[str], peer: str) -> str:
    return ", ".join(name if name == peer else "you" for name in names)


def _rounded(seconds: int) -> int:
    """Return the time left in whole hours or minutes, as long as there are two of them."""
    for size in (86_400, 3600, 60):
        if seconds >= 2 * size:
            return seconds // size * size
    return seconds
