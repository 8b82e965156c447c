"""What a message contains, once it is opened.

``kinds`` has the kinds of content, ``envelope`` their form, ``line`` each as a line of text, ``file`` the way
to a file.
"""

from roost.client.content.envelope import MAX_CONTENT, encode, from_members, read, to_members
from roost.client.content.file import File, Progress
from roost.client.content.kinds import (
    Attachment,
    Content,
    Delete,
    Edit,
    FileReference,
    Known,
    Linked,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    Unknown,
    is_control,
)
from roost.client.content.line import line_of

__all__ = [
    "MAX_CONTENT",
    "Attachment",
    "Content",
    "Delete",
    "Edit",
    "File",
    "FileReference",
    "Known",
    "Linked",
    "Progress",
    "Reaction",
    "ReadUpTo",
    "Text",
    "Timer",
    "Unknown",
    "encode",
    "from_members",
    "is_control",
    "line_of",
    "read",
    "to_members",
]
