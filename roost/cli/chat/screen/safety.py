"""Whether someone is who they say: the safety number, and the word of the user about it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from roost.cli.chat.screen.dialogs import Dialog
from roost.cli.chat.view.harmless import on_screen
from roost.cli.devices import qr_code
from roost.crypto.safety_numbers import SafetyNumber


class Safety(Dialog[str]):
    """A safety number; answered with what is to be done: ``verify``, ``digits`` or ``trust``.

    Args:
        peer: Of whom.
        number: What is compared.
        verified: It was compared before.
        doubt: What is the matter with the peer's keys; empty if nothing is.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "answer('verify')", "They are the same"),
        Binding("c", "answer('digits')", "Compare typed digits"),
        Binding("t", "answer('trust')", "Trust the new keys"),
    ]

    def __init__(self, peer: str, number: SafetyNumber, *, verified: bool, doubt: str) -> None:
        super().__init__()
        self._peer, self._number, self._verified, self._doubt = peer, number, verified, doubt

    def compose(self) -> ComposeResult:
        """Make its parts."""
        digits = str(self._number).split()
        rows = "\n".join("  " + " ".join(digits[at : at + 4]) for at in range(0, len(digits), 4))
        state = ("✔ verified", "bold $success") if self._verified else ("not verified", "bold $warning")
        with Vertical(classes="dialog"), VerticalScroll(can_focus=True):
            yield Static(Content.assemble(f"Safety number with {self._peer}: ", state))
            if self._doubt:
                yield Static(Content.styled(on_screen(self._doubt), "bold $error"))
            yield Static(
                Content(f"\n{rows}\n\nCompare it with what {self._peer} sees, in person or on the phone.")
            )
            keys = "v: it is the same    c: type what they see    Esc: back"
            yield Static(Content(keys + ("    t: trust the new keys" if self._doubt else "")), classes="keys")
            yield Static(Content(qr_code(self._number.payload)), classes="qr")

    def action_answer(self, what: str) -> None:
        """Answer with what is to be done."""
        if what != "trust" or self._doubt:
            self.dismiss(what)
