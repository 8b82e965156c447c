"""Numbers on the wire: what every language can tell apart, so what a server may say (RFC 8259, section 6)."""

from typing import Annotated

from msgspec import Meta

from roost.ids import SEQ_LIMIT

Seq = Annotated[int, Meta(ge=0, lt=SEQ_LIMIT)]
"""A number of a mailbox, or a place in one."""

Whole = Annotated[int, Meta(gt=-SEQ_LIMIT, lt=SEQ_LIMIT)]
"""A time in Unix milliseconds, a length, a count: any whole number between -2**53 and 2**53."""
