"""``roost chat``: a client that fills the terminal, or of lines where that cannot be.

``lines`` is the chat of lines, ``screen`` the one that fills the terminal, ``view`` what that shows, without
a terminal; ``opening`` signs in for both.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from roost.cli.chat.lines import Chat
from roost.cli.chat.opening import folder_of, signed_in
from roost.cli.terminal import BAD_USAGE, DONE, complain
from roost.client import Client, KeystoreInUse, Options


def run(
    server: str, user: str, peer: str | None, data: str | None, *, ca: Path | None = None, lines: bool = False
) -> int:
    """Chat until the end; return the exit code.

    Args:
        server: Base URL.
        user: Who chats.
        peer: The first recipient, if there is one yet.
        data: Folder for keys; None for the usual one.
        ca: See `Options.ca`.
        lines: Print lines also where the terminal could be filled.

    Raises:
        BadUsage: Its keys can be neither read nor kept, or there is no one to ask for the password.
        RoostError: Signing in was refused.
    """
    folder = folder_of(data)
    lines = lines or not can_be_filled()
    try:
        with suppress(KeyboardInterrupt):
            return asyncio.run(_chat(server, user, peer, folder, Options(ca=ca), lines=lines))
    except KeystoreInUse as exc:
        return complain(f"{exc}.", BAD_USAGE)
    return DONE


def can_be_filled() -> bool:
    """Return whether all standard streams are of a terminal whose cursor can be moved."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(each.isatty() for each in streams) and not Console().is_dumb_terminal


async def _chat(
    server: str, username: str, peer: str | None, folder: Path, options: Options, *, lines: bool
) -> int:
    client = await signed_in(server, username, folder, options)
    try:
        if not lines:
            return await _on_screen(client, peer)
        await Chat(client, Console(highlight=False), peer).run()
    finally:
        await client.close()
    return DONE


async def _on_screen(client: Client, peer: str | None) -> int:
    from roost.cli.chat.screen import ChatApp  # noqa: PLC0415 -- half a second that the chat of lines spares

    app = ChatApp(client, peer)
    await app.run_async()
    return app.return_code or DONE
