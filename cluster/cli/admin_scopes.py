"""The verbs ``admin grant`` and ``admin revoke``: what an account may do beyond its own things."""

import argparse
import asyncio
import json
import sys
from typing import Literal

from cluster.cli.running_store import opened_store, settings_of, write_down
from cluster.cli.verbs import find_by
from cluster.settings import Settings
from roost.cli.terminal import DID_NOT_HOLD, DONE, BadUsage, complain
from roost.ids import fold_username
from storage.account_rows import SCOPES, User


class ScopeChange:
    """``roost admin grant`` and ``roost admin revoke``."""

    def __init__(self, word: Literal["grant", "revoke"]) -> None:
        self._word, self._granted = word, word == "grant"
        effect = (
            "the account's tokens have it from their next refresh"
            if self._granted
            else "tokens that name it lose it at once"
        )
        self.help = f"{word} a scope ({', '.join(SCOPES)}); {effect}"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the account, the scope, how the system is found, and ``--json``."""
        parser.add_argument("username", metavar="USER")
        parser.add_argument("scope", metavar="SCOPE", choices=SCOPES, help=" or ".join(SCOPES))
        find_by(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: argparse.Namespace) -> int:
        """Change it, and print what the account may do now."""
        try:
            username = fold_username(args.username)
        except ValueError as exc:
            raise BadUsage(f"{args.username!r} is no username: {exc}") from exc
        user = asyncio.run(self._change(settings_of(args), username, args.scope))
        if user is None:
            return complain(f"There is no user {username!r}.", DID_NOT_HOLD)
        if args.json:
            sys.stdout.write(json.dumps({"username": user.username, "scopes": sorted(user.scopes)}) + "\n")
        else:
            sys.stdout.write(f"{user.username} has {' and '.join(sorted(user.scopes)) or 'no scope'}.\n")
        return DONE

    async def _change(self, settings: Settings, username: str, scope: str) -> User | None:
        async with opened_store(settings) as store:
            known = await store.accounts.user_by_name(username)
            if known is None:
                return None
            act, target = f"admin.{self._word}", f"{username} {scope}"
            await write_down(store, act, target, "requested")  # first: no right changes unseen
            user = await store.accounts.set_scope(known.user_id, scope, granted=self._granted)
            await write_down(store, act, target, "done" if user is not None else "failed: no such user")
            return user


grant = ScopeChange("grant")
revoke = ScopeChange("revoke")
