"""The state of the connection, in words: it is shown always."""

from roost.client.events import Connected, Disconnected, Event, Synced


class ConnectionState:
    """How this device stands with the server.

    Attributes:
        up: There is a connection.
        final: There will be none without signing in again.
        words: The same for people.
    """

    def __init__(self) -> None:
        self.up = self.final = False
        self.words = "connecting …"

    def take(self, event: Event) -> bool:
        """Note an event; return whether it was about the connection."""
        match event:
            case Connected():
                self.up, self.words = True, "connected, fetching messages …"
            case Synced():
                self.words = "connected"
            case Disconnected(code=code, final=True):
                self.up, self.final = False, True
                self.words = f"signed out ({_said(code)}): start again to sign in"
            case Disconnected(code=code):
                self.up = False
                self.words = f"not connected ({_said(code)}), trying again …"
            case _:
                return False
        return True


def _said(code: str) -> str:
    return code.replace("_", " ")
