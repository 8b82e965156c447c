"""The verb ``admin create-user``: an account, made by the rules of ``POST /v1/accounts``."""

import argparse
import asyncio
import getpass
import json
import secrets
import sys
import uuid

from cluster.cli.running_store import opened_store, settings_of, write_down
from cluster.cli.verbs import find_by
from cluster.settings import Settings
from roost.cli.terminal import DONE, BadUsage
from roost.clock import now_ms
from roost.errors import RoostError
from roost.ids import fold_username
from storage.account_rows import SCOPES, User

_GENERATED_BYTES = 18


class CreateUser:
    """``roost admin create-user``. A password is never an argument: arguments are for all users to see."""

    help = "make an account; asks for its password, or reads or makes one"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the name, where the password comes from, scopes, and how the system is found."""
        parser.add_argument("username", metavar="USER")
        parser.add_argument("--display-name", metavar="TEXT", help="as others see it (the username)")
        parser.add_argument(
            "--scope", action="append", choices=SCOPES, default=[], help="grant it a scope; may be repeated"
        )
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
        source.add_argument("--generate", action="store_true", help="make a password, and print it once")
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Make it, and print what it is."""
        from api.identity.names import nickname  # noqa: PLC0415 -- loads what `roost --help` does not need

        try:
            username = fold_username(args.username)
            display_name = nickname(args.display_name) if args.display_name else username
        except ValueError as exc:
            raise BadUsage(f"{args.display_name or args.username!r} cannot be a name: {exc}") from exc
        settings = settings_of(args)
        password = secrets.token_urlsafe(_GENERATED_BYTES) if args.generate else _asked(args)
        user = asyncio.run(_create(settings, username, display_name, password, tuple(args.scope)))
        made = {"user_id": user.user_id, "username": username, "scopes": list(user.scopes)}
        if args.generate:
            made["password"] = password
        if args.json:
            sys.stdout.write(json.dumps(made) + "\n")
        else:
            shown = f", with the password {password}" if args.generate else ""
            sys.stdout.write(f"{username} is {user.user_id}{shown}.\n")
        return DONE


async def _create(
    settings: Settings, username: str, display_name: str, password: str, scopes: tuple[str, ...]
) -> User:
    from api.identity.passwords import Passwords  # noqa: PLC0415 -- likewise

    passwords = Passwords(threads=1)
    try:
        passwords.check_new(password, username, "the password")
        hashed = await passwords.hash(password, "")
    finally:
        passwords.close()
    user = User(str(uuid.uuid4()), username, hashed, display_name, now_ms(), scopes=scopes)
    act, target = "admin.create_user", " ".join((username, *scopes))
    async with opened_store(settings) as store:
        await write_down(store, act, target, "requested")
        if not await store.accounts.add_user(user):
            await write_down(store, act, target, "refused: the username is taken")
            raise RoostError("username_taken", f"The username {username!r} is taken; choose another.")
        await write_down(store, act, target, "done")
    return user


def _asked(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    try:
        password = getpass.getpass(f"Password for {args.username}: ")
        if getpass.getpass("Once more: ") != password:
            raise BadUsage("The two passwords differ; nothing was changed.")
    except EOFError as exc:
        raise BadUsage("There is no terminal to ask: use --password-stdin or --generate.") from exc
    return password


create_user = CreateUser()
