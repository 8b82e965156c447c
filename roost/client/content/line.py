"""Content as one piece of text, for bots and logs that show nothing else."""

from roost.client.content.kinds import (
    Attachment,
    Content,
    Delete,
    Edit,
    Linked,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    Unknown,
)
from roost.client.filenames import safe_name


def line_of(content: Content) -> str:  # noqa: C901, PLR0911 - a line a kind
    """Return text as it is, and of anything else a line in brackets that says what it is."""
    match content:
        case Text(text=text):
            return text
        case Attachment(file=file, caption=caption):
            line = f"[file: {safe_name(file.name)}, {file.size} bytes]"
            return f"{line} {caption}" if caption else line
        case Reaction(emoji=emoji):
            return f"[reaction: {emoji}]" if emoji else "[reaction taken back]"
        case Edit(text=text):
            return f"[edited: {text}]"
        case Delete():
            return "[deleted a message]"
        case Timer(expires_in_s=None):
            return "[messages no longer disappear]"
        case Timer(expires_in_s=seconds):
            return f"[messages disappear after {seconds} s]"
        case ReadUpTo(peer=peer):
            return f"[read on another device: {peer}]"
        case Linked():
            return "[a device was linked]"
        case Unknown(kind=kind):
            return f"[a message that this version cannot show: {kind}]"
