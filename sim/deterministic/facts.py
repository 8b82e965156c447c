"""What a run remembers of each message and of each device's app, and how it says that something is wrong."""

from msgspec import Struct, field


class Violation(Exception):  # noqa: N818 -- named for what was found
    """An invariant does not hold.

    Attributes:
        kind: One word for it.
    """

    def __init__(self, kind: str, story: str) -> None:
        super().__init__(f"{kind}: {story}")
        self.kind = kind


class Message(Struct):
    """A message that someone meant to send.

    Attributes:
        order: Position among all messages of the sending device.
        seqs: Every number that the log gave it.
        kept_by: Devices whose app has it for good.
        copy_seqs: Every number that the log gave a record with copies for the sender's other devices.
        copies_for: The devices that came with each of its numbers: those that its own copies were for.
        copied_by: Those of them whose app has its copy for good.
        alone: It is to oneself, and there was no other device to send it to when it was meant.
        expires_ms: After how long it disappears; 0 if it does not.
        expired: Its sender was told that it has.
        saved: The sender's phone has it for good.
        read: A device that has it was told to mark it as read.
    """

    id: str
    sender: str
    device: str
    to: str
    content: bytes
    order: int
    seqs: list[int] = field(default_factory=list)
    kept_by: list[str] = field(default_factory=list)
    copy_seqs: list[int] = field(default_factory=list)
    copies_for: dict[int, list[str]] = field(default_factory=dict)
    copied_by: list[str] = field(default_factory=list)
    alone: bool = False
    expires_ms: int = 0
    expired: bool = False
    saved: bool = False
    read: bool = False


class Told(Struct):
    """What one device's app was told.

    Attributes:
        ids: Messages, in order.
        numbers: The number that each came with.
        kept: How many of them survive a kill.
        copies: What the user's other devices sent, in order.
        copies_kept: How many of them survive a kill.
        chain: seq of the last entry on this connection, or of what has disappeared behind it.
        marks: Last watermarks of each peer in receipt entries.
        refused: How often the server did not know its cursor.
        missed: It was told that entries are gone, and may find a gap where they were.
    """

    ids: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    copies: list[str] = field(default_factory=list)
    copies_kept: int = 0
    chain: int = 0
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    refused: int = 0
    missed: bool = False
