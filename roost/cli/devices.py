"""The commands of ``roost chat`` about devices and identities, and what it says of their changes."""

import io
from collections.abc import Callable
from typing import Final

import segno

from roost.client import Client, KeyChanged, Linked
from roost.ids import fold_username

Say = Callable[[str, str], None]
"""Prints a line in a style."""

COMMANDS: Final = (
    "/link (show this device's code), /link CODE, /unlink DEVICE, /safety NAME, /verify NAME [NUMBER]"
)


class DeviceCommands:
    """Links devices, and compares safety numbers.

    Args:
        client: Signed in.
        say: Prints a line.
        draw: Prints lines as they are.
    """

    def __init__(self, client: Client, say: Say, draw: Callable[[str], None]) -> None:
        self._client, self._say, self._draw = client, say, draw

    async def take(self, word: str, rest: str) -> bool:
        """Carry out a command; return whether it is one of these."""
        match word, rest:
            case "/link", "":
                self._show_code()
            case "/link", code:
                await self._client.link(code)
                self._say("green", "the device is linked: it gets your identity, people and history now")
            case "/unlink", device:
                await self._client.unlink(device)
                self._say("green", f"device {device} is removed")
            case "/safety", name:
                number = await self._client.safety_number(name)
                self._draw(qr_code(number.payload))
                verified = "verified" if self._client.verified(name) else "not verified"
                self._say("bold", f"{number}  ({fold_username(name)} is {verified})")
            case "/verify", told:
                name, _, digits = told.partition(" ")
                await self._client.verify(name, digits or None)
                self._say("green", f"{fold_username(name)} is verified, until their identity changes")
            case _:
                return False
        return True

    def _show_code(self) -> None:
        code = self._client.link_code()
        self._draw(qr_code(code))
        self._say("bold", code)
        self._say("dim", "type /link CODE on your other device within ten minutes; show it to no one else")


def qr_code(text: str) -> str:
    """Return a QR code as lines of block characters, for a dark or a light terminal."""
    lines = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=lines, compact=True)
    return lines.getvalue().rstrip("\n")


def linked(event: Linked) -> str:
    """Return the sentence for this device's being linked."""
    if event.problem:
        return f"this device is linked, but the history did not come along: {event.problem}"
    return f"this device is linked: {event.peers} people and {event.lines} lines of history came along"


def told_of_keys(event: KeyChanged) -> tuple[str, str]:  # noqa: PLR0911 - a line a change
    """Return the style and the sentence for a change of keys."""
    peer, device, key = event.peer, event.device, event.fingerprint
    match event.change:
        case "identity":
            return "bold red", (
                f"{peer} IS NOT WHO THEY WERE: their identity is {key} now. Compare /safety {peer}, "
                f"then /trust {peer}."
            )
        case "changed":
            return "bold red", f"THE KEY OF {peer} HAS CHANGED to {key}. Compare it, then /trust {peer}."
        case "added" if event.confirmed:
            return "dim", f"{peer} has a new device, {device}, and has confirmed it"
        case "added":
            return "bold red", (
                f"{peer} HAS A NEW DEVICE, {device}, with the key {key}, which {peer} has NOT CONFIRMED. "
                "It can read you."
            )
        case "confirmed":
            return "dim", f"{peer} has confirmed device {device}"
        case "unconfirmed":
            return "bold red", f"{peer} NO LONGER CONFIRMS device {device}. It can read you."
        case change:
            return "red", f"{peer}: device {device} {change}"
