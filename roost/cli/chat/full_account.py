"""An account that has as many devices as it may: who signs in on another one says which is to go."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from roost.cli.moments import local
from roost.cli.shown import on_one_line
from roost.cli.terminal import BadUsage, say
from roost.errors import RoostError

_LATEST_MS: Final = 253_402_214_400_000
"""The last day that a calendar shows, whatever a server says."""


class Removable(Struct, frozen=True):
    """One of the account's devices.

    Attributes:
        device_id: Its id.
        name: As it called itself.
        created_at_ms: When it first signed in.
    """

    device_id: str
    name: str
    created_at_ms: Annotated[int, Meta(ge=0, lt=_LATEST_MS)]


def devices_of(refusal: RoostError) -> list[Removable]:
    """Return the devices of which one has to go; none: it was refused for something else."""
    if refusal.code.word != "too_large":
        return []
    try:
        return msgspec.convert(refusal.extra.get("devices", []), list[Removable])
    except msgspec.ValidationError:
        return []


def chosen(username: str, devices: list[Removable]) -> str:
    """Ask which device is to go, and return its id.

    Raises:
        BadUsage: None is, or there is no one to ask.
    """
    say(f"{username} has {len(devices)} devices, and may have no more:")
    for number, device in enumerate(devices, 1):
        since = local(device.created_at_ms)
        say(f"{number:4}  {on_one_line(device.name) or 'no name'}, signed in {since:%Y-%m-%d %H:%M}")
    while True:
        try:
            answer = input(f"Remove which one to sign in here? [1-{len(devices)}, Enter: none] ").strip()
        except EOFError:
            answer = ""
        if not answer:
            raise BadUsage("No device was removed: sign in on one of them, or again here, and remove one.")
        if answer.isdecimal() and 0 < int(answer) <= len(devices):
            return devices[int(answer) - 1].device_id
