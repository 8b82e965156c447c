"""What is known of people at this moment: who is here, who types, and whose keys are not those of before."""

from typing import Final

from roost.cli.chat.view.words import short_time
from roost.client.events import Event, Presence, Typing
from roost.client.state import Profile

TYPES_MS: Final = 6_000
"""How long someone types who has not paused: their client tells it again before that."""


class People:
    """Presence and typing, from events."""

    def __init__(self) -> None:
        self._online: dict[str, bool] = {}
        self._seen_ms: dict[str, int] = {}
        self._types_until_ms: dict[str, int] = {}

    def take(self, event: Event, now_ms: int) -> None:
        """Note an event, if it is about that."""
        match event:
            case Presence(peer=peer, state=state, last_seen_ms=seen_ms):
                self._online[peer] = state == "online"
                if seen_ms is not None:
                    self._seen_ms[peer] = seen_ms
            case Typing(peer=peer, state="typing"):
                self._types_until_ms[peer] = now_ms + TYPES_MS
            case Typing(peer=peer):
                self._types_until_ms.pop(peer, None)

    def forget(self) -> None:
        """Forget who is here: there is no connection that would tell."""
        self._online.clear()
        self._types_until_ms.clear()

    def wrote(self, peer: str) -> None:
        """Note that someone has sent what they typed."""
        self._types_until_ms.pop(peer, None)

    def online(self, peer: str) -> bool:
        """Return whether someone is known to be here."""
        return self._online.get(peer, False)

    def types(self, peer: str, now_ms: int) -> bool:
        """Return whether someone is typing to this user."""
        return self._types_until_ms.get(peer, 0) > now_ms

    def told(self, peer: str, now_ms: int) -> str:
        """Return what stands beside a name; empty if nothing is known."""
        if self.types(peer, now_ms):
            return "typing …"
        if self.online(peer):
            return "online"
        seen_ms = self._seen_ms.get(peer)
        return "" if seen_ms is None else f"last seen {short_time(seen_ms, now_ms)}"


def doubt(profile: Profile, peer: str) -> str:
    """Return why nothing, or not everything, that is sent to a peer should be trusted; empty if it may be."""
    identity = profile.identities.get(peer)
    pins = {name: pin for name, pin in profile.peers.get(peer, {}).items() if pin.current}
    if identity is not None and identity.offered is not None:
        return (
            f"{peer} IS NOT WHO THEY WERE: nothing is sent until you compare the safety number and trust them"
        )
    if any(pin.offered is not None for pin in pins.values()):
        return (
            f"THE KEY OF {peer} HAS CHANGED: nothing is sent until you compare the safety number and trust it"
        )
    if identity is not None and identity.keys is not None:
        unsigned = sorted(name for name, pin in pins.items() if not pin.signed)
        if unsigned:
            return f"{peer} HAS NOT CONFIRMED the device {', '.join(unsigned)}: it can read you"
    return ""
