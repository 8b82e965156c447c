"""The topics of the log, and the consumer groups that commit offsets to them."""

from typing import Final

MAILBOX: Final = "mailbox"
"""Messages, receipts and what else enters mailboxes; routers read it."""

PUSH: Final = "push"
"""Wake-ups; pushers read it."""

TOPICS: Final = (MAILBOX, PUSH)

MAILBOX_DEAD: Final = "mailbox.dead"
PUSH_DEAD: Final = "push.dead"
"""Records that could not be handled, with the reason."""

DEAD: Final = (MAILBOX_DEAD, PUSH_DEAD)

ROUTERS: Final = "routers"
PUSHERS: Final = "pushers"
