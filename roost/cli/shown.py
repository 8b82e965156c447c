"""Messages as lines of a terminal: harmless, and plain to read."""

import unicodedata

from roost.cli.moments import local
from roost.client import Message
from roost.client.content import Content, Delete, Edit, Reaction, Text, line_of
from roost.client.filenames import safe_name

_LINE_ENDS = ("\n", "\u2028", "\u2029")
_OVERRIDES = ("\u202d", "\u202e")
"""They turn around what stands after them, whatever its script; no script needs them (UAX #9)."""

_QUOTED = 40
_TICKS = {"sending": "…", "sent": "✓", "delivered": "✓✓", "read": "✓✓ read"}


def plain(text: str) -> str:
    """Return the text without what would move the cursor or change colours of this terminal.

    Nothing that a script or an emoji is made of is touched: joiners, wide and narrow blanks, tabs, marks.
    """
    return "".join(map(_plain, text))


def on_one_line(text: str) -> str:
    """Return the text likewise, on one line."""
    return plain(text).replace("\n", " ")


def reason(exc: Exception) -> str:
    """Return why something failed, for a person: of a file its name, and what is the matter with it."""
    if isinstance(exc, OSError) and exc.filename is not None and exc.strerror:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc)


def concerns(body: Content | None) -> str | None:
    """Return the id of the message that is to be quoted with this one."""
    match body:
        case Text(reply_to=target) | Reaction(to=target):
            return target
        case _:
            return None


def said(body: Content, quoted: str) -> str:
    """Return what a message says.

    Args:
        body: Its content.
        quoted: The text of the message that it is about, as far as it is known here.
    """
    match body:
        case Text(text=text, reply_to=str()):
            return f"[reply{_about(quoted)}] {text}"
        case Reaction(emoji=emoji):
            return f"[{emoji or 'takes the reaction back'}{_about(quoted)}]"
        case Edit(text=text):
            return f"[edited] {text}"
        case Delete():
            return "[deleted a message]"
        case _:
            return line_of(body)


def line_of_message(message: Message, quoted: str) -> str:
    """Return a message of the history; ``quoted`` as in `said`."""
    at = local(message.at_ms)
    parts = [f"{at:%Y-%m-%d %H:%M}", _body(message, quoted)]
    parts += ["(edited)"] if message.edited_at_ms is not None else []
    parts += [f"[{emoji} {', '.join(people)}]" for emoji, people in message.reactions.items()]
    if message.state is not None:
        parts.append(_TICKS.get(message.state, f"[{message.state} {message.code}]"))
    return " ".join(parts)


def _body(message: Message, quoted: str) -> str:
    match message.kind:
        case "file" if message.file is not None:
            text = (
                f"[file: {safe_name(message.file.name)}, {message.file.size} bytes] {message.text}".rstrip()
            )
        case "timer" if message.expires_in_s is None:
            return "[messages no longer disappear]"
        case "timer":
            return f"[messages disappear after {message.expires_in_s} s]"
        case "text":
            text = message.text
        case "deleted" if message.state == "expired":
            return "[its time was over before it was delivered]"
        case kind:
            return f"[{kind} {message.code}]".replace(" ]", "]")
    return text if message.reply_to is None else f"[reply{_about(quoted)}] {text}"


def _about(quoted: str) -> str:
    if not quoted:
        return " to a message"
    short = on_one_line(quoted)
    return f" to “{short if len(short) <= _QUOTED else short[: _QUOTED - 1] + '…'}”"


def _plain(char: str) -> str:
    if char in _LINE_ENDS:
        return "\n"
    if char == "\t":
        return char
    return "�" if char in _OVERRIDES or unicodedata.category(char) in ("Cc", "Cs") else char
