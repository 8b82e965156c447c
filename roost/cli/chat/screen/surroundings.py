"""The lines around the messages: who is connected, with whom, and what is being written."""

from textual.content import Content

from roost.cli.chat.view.desk import Desk
from roost.cli.chat.view.entries import summary
from roost.cli.chat.view.harmless import on_screen
from roost.cli.chat.view.words import how_long


def state_line(desk: Desk) -> Content:
    """Return who this is, and how the connection is."""
    connection, unread = desk.connection, desk.unread
    style = "bold $success" if connection.up else "bold $error" if connection.final else "bold $warning"
    return Content.assemble(
        ("● " if connection.up else "○ ", style),
        (on_screen(connection.words), style),
        "  ",
        (desk.client.username, "bold"),
        f"  {unread} unread" if unread else "",
    )


def title_line(desk: Desk) -> Content:
    """Return with whom the open conversation is, and what is known of them."""
    opened, client = desk.opened, desk.client
    if opened is None:
        return Content("No conversation is open: Enter opens one, n begins one")
    if opened.peer == client.username:
        return Content("Notes to yourself, on all of your devices")
    mark = ("✔ verified", "$success") if client.verified(opened.peer) else ("not verified", "dim")
    parts: list[tuple[str, str] | str] = [(opened.peer, "bold"), "  ", mark]
    if told := desk.people.told(opened.peer, client.now_ms()):
        parts += ["  ", (told, "italic")]
    if opened.timer_s is not None:
        parts += ["  ", (f"⧗ {how_long(opened.timer_s)}", "$warning")]
    return Content.assemble(*parts)


def doubt_line(desk: Desk) -> str:
    """Return what is the matter with the peer's keys; empty if nothing is."""
    doubt = desk.doubt()
    return f"! {doubt} (F6)" if doubt else ""


def about_line(desk: Desk) -> str:
    """Return what the next message answers or edits; empty if it is one of its own."""
    opened = desk.opened
    if opened is None:
        return ""
    if opened.answering is not None:
        return f"↪ {summary(opened.answering)}"
    return "" if opened.editing is None else f"✎ {summary(opened.editing)}"
