"""The login of one stream: its first frame, the access token and its renewal. Pure."""

from collections.abc import Callable

from api.identity.tokens import Principal
from roost import wire
from roost.errors import RoostError

HELLO_MS = 10_000
"""Time for the first frame."""

IMPLICIT_MS = 2_000
"""A client that authenticated by header and sends no hello is attached after this."""

EXPIRING_MS = 60_000
"""How long before its token's end a client is told."""

Verify = Callable[[str], Principal]
"""Returns who an access token speaks for; raises ``RoostError`` if it is not valid or revoked."""


class Login:
    """The client of a stream.

    Args:
        verify: Checks tokens.
        now_ms: Unix milliseconds.
        by_header: The access token of the ``Authorization`` header, if there was one. It is verified when it
            is used: its session may have ended since the socket was accepted.

    Attributes:
        principal: Who speaks, None before the hello.
        opened_ms: When it began.
    """

    __slots__ = ("_by_header", "_verify", "_warned", "opened_ms", "principal")

    def __init__(self, verify: Verify, *, now_ms: int, by_header: str | None) -> None:
        self.principal: Principal | None = None
        self._verify, self._by_header = verify, by_header
        self.opened_ms = now_ms
        self._warned = False

    def hello(self, frame: wire.Hello) -> Principal:
        """Return who says hello.

        Raises:
            RoostError: There is no token, or not a good one.
        """
        token = frame.token if frame.token is not None else self._by_header
        if token is None:
            raise RoostError(
                "unauthenticated", "There is no access token, in the hello or in an Authorization header."
            )
        return self.accept(self._verify(token))

    def without_hello(self) -> Principal | None:
        """Return who speaks by the header alone, None if there was none.

        Raises:
            RoostError: Its token is good no longer.
        """
        return None if self._by_header is None else self.accept(self._verify(self._by_header))

    def accept(self, principal: Principal) -> Principal:
        """Have this one speak from now on."""
        self.principal = principal
        self._warned = False
        return principal

    def renewed(self, token: str) -> Principal:
        """Return who a new token speaks for; raises ``RoostError`` if it is not valid."""
        return self._verify(token)

    def is_same(self, other: Principal) -> bool:
        """Return whether the other is the same user on the same device."""
        known = self.principal
        return known is not None and (other.user, other.device) == (known.user, known.device)

    def overdue(self, now_ms: int) -> Principal | None:
        """Return who speaks by the header alone, once the time for a hello is over.

        Raises:
            RoostError: That time is over, and there was no header, or its token is good no longer.
        """
        waited_ms = now_ms - self.opened_ms
        if self._by_header is not None:
            return self.without_hello() if waited_ms >= IMPLICIT_MS else None
        if waited_ms >= HELLO_MS:
            raise RoostError("unauthenticated", "No hello was received within 10 s.")
        return None

    def expiring(self, principal: Principal, now_ms: int) -> int | None:
        """Return the seconds left of the token, once, when they are few.

        Raises:
            RoostError: It has expired.
        """
        left_ms = principal.expires_ms - now_ms
        if left_ms <= 0:
            raise RoostError("unauthenticated", "The access token has expired.")
        if left_ms > EXPIRING_MS or self._warned:
            return None
        self._warned = True
        return left_ms // 1000
