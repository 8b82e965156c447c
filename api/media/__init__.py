"""Files on their way through a gateway: bounded in number, pace and memory, and never understood."""

from api.media.incoming import Broken, pour
from api.media.metadata import check_metadata
from api.media.outgoing import OutgoingFile
from api.media.ranges import Span, asked
from api.media.transfers import Media, MediaLimits, TransferLimits

__all__ = [
    "Broken",
    "Media",
    "MediaLimits",
    "OutgoingFile",
    "Span",
    "TransferLimits",
    "asked",
    "check_metadata",
    "pour",
]
