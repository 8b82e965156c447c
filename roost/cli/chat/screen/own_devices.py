"""The user's devices, and how one is linked."""

from typing import ClassVar, Final, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from roost.cli.chat.screen.dialogs import Dialog
from roost.cli.chat.view.harmless import shortened
from roost.cli.moments import local
from roost.client import Device

_KEYS: Final = """\
s: show this device's code    l: link another by its code
x: remove    o: sign the others out    Esc: back"""


class DeviceAct(NamedTuple):
    """What is to be done: ``show``, ``link``, ``unlink`` or ``others``, and with which device."""

    what: str
    device: Device | None = None


class OwnDevices(Dialog[DeviceAct]):
    """The list of devices.

    Args:
        devices: All of the user.
        linked: This one has a part in the user's identity.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "answer('show')", "Show this device's code"),
        Binding("l", "answer('link')", "Link another by its code"),
        Binding("x,delete", "answer('unlink')", "Remove"),
        Binding("o", "answer('others')", "Sign out the others"),
    ]

    def __init__(self, devices: list[Device], *, linked: bool) -> None:
        super().__init__()
        self._devices, self._linked = devices, linked

    def compose(self) -> ComposeResult:
        """Make its parts."""
        state = "this one is linked" if self._linked else "this one is NOT LINKED: s shows its code"
        with Vertical(classes="dialog"):
            yield Static(Content(f"Your devices; {state}"))
            yield OptionList(*[Option(_line(each)) for each in self._devices], markup=False)
            yield Static(Content(_KEYS), classes="keys")

    def action_answer(self, what: str) -> None:
        """Answer with what is to be done."""
        at = self.query_one(OptionList).highlighted
        device = None if at is None else self._devices[at]
        if what != "unlink" or (device is not None and not device.current):
            self.dismiss(DeviceAct(what, device))


def _line(device: Device) -> Content:
    made = f"{local(device.created_at_ms):%Y-%m-%d}"
    this = "  this device" if device.current else ""
    return Content(f"{shortened(device.device_id, 20)}  {made}  {shortened(device.name, 30)}{this}")
