"""A message of a conversation as it is shown."""

from typing import Literal

from msgspec import Struct

from roost.client.content import Attachment, Content, FileReference, Text, Timer, Unknown

Kind = Literal["text", "file", "timer", "unknown", "undecryptable", "deleted"]
SendState = Literal["sending", "sent", "delivered", "read", "failed", "expired"]


class Message(Struct, frozen=True, omit_defaults=True):
    """A message as it is shown.

    Attributes:
        peer: Whose conversation it is in.
        id: Its id.
        author: Who wrote it.
        device: On which device.
        mine: The author is this user.
        kind: What it is.
        text: The text, or a file's caption, as it was last edited.
        at_ms: When the server accepted it; until then when it was written.
        sent_at_ms: When it was written, by its author's clock.
        seq: Its number, once accepted.
        reply_to: The id of the message that it answers.
        file: The file that it brings.
        expires_in_s: Of a ``timer``: messages disappear so long after they were sent; None: they stay.
        edited_at_ms: When it was last edited.
        reactions: Who reacted with what, sorted.
        state: How far one's own message got; None if it is the peer's.
        code: Of ``failed`` a code of the registry, of ``undecryptable`` the reason, of ``unknown`` the kind.
        expires_at_ms: When it disappears.
    """

    peer: str
    id: str
    author: str
    device: str
    mine: bool
    kind: Kind
    text: str
    at_ms: int
    sent_at_ms: int
    seq: int | None = None
    reply_to: str | None = None
    file: FileReference | None = None
    expires_in_s: int | None = None
    edited_at_ms: int | None = None
    reactions: dict[str, list[str]] = {}
    state: SendState | None = None
    code: str = ""
    expires_at_ms: int | None = None


def is_shown(content: Content) -> bool:
    """Return whether content has a place of its own in the conversation."""
    return isinstance(content, Text | Attachment | Timer | Unknown)
