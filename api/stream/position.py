"""The position of one stream in its mailbox: what went down the socket, and what was acknowledged. Pure."""


class Position:
    """Where a stream stands.

    A client that begins at 40 and has had entries up to 57 may acknowledge up to 57::

        cursor=40   ready at 40   deliver 41..57   top=57   ack 50   acked=50

    Attributes:
        cursor: Where the client asked to begin, None: the device's stored position.
        top: Highest seq that went down, or the cursor it began with: what may be acknowledged.
        acked: Highest seq acknowledged on this stream.
        ready: The client has had its ``ready``.
    """

    __slots__ = ("_drained", "acked", "cursor", "ready", "top")

    def __init__(self) -> None:
        self.cursor: int | None = None
        self.top = 0
        self.acked = 0
        self.ready = False
        self._drained = False

    @property
    def resume_from(self) -> int | None:
        """Where a host is to begin now, None: at the device's stored position."""
        return self.top if self.ready else self.cursor

    def begin(self, cursor: int | None) -> None:
        """Take where the client asked to begin."""
        self.cursor, self.top = cursor, cursor or 0

    def attached(self, stored: int) -> int | None:
        """Take the device's stored position; return where the client begins, None if it has begun before."""
        if self.ready:
            return None
        self.ready = True
        begins = stored if self.cursor is None else self.cursor
        self.top = max(self.top, begins)
        return begins

    def delivered(self, last: int) -> bool:
        """Take note of entries up to ``last``; return whether the client is to have them.

        Not what it had before a resume, and nothing before ``ready``: an attachment that was given up while
        its answer was on the way may still deliver, and the one that follows starts over.
        """
        if not self.ready or last <= self.top:
            return False
        self.top = last
        return True

    def drained(self, cursor: int) -> bool:
        """Take note of the backlog's end; return whether the client is to be told.

        That is once, and again where a host that serves the rest has no entry behind the last one, only
        messages that disappeared.
        """
        if not self.ready or (self._drained and cursor <= self.top):
            return False
        self._drained = True
        self.top = max(self.top, cursor)
        return True
