"""The settings of a bot: given by its program, or read from the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from msgspec import Struct


class BotStopped(Exception):  # noqa: N818 -- named for what happened
    """The bot cannot begin, or go on; the sentence says why."""


class Settings(Struct, frozen=True):
    """Where a bot lives, and as whom.

    Attributes:
        server: Base URL; in the environment ``ROOST_SERVER``.
        name: The bot's username; ``ROOST_BOT_NAME``.
        password: Of its account; ``ROOST_BOT_PASSWORD``. Needed where the data folder is new and the account
            is not. Without one, a new account gets a random password, which is kept in its folder.
        data: Folder of its keys and state; ``ROOST_BOT_DATA``. None: both are kept in memory, and are gone
            with the process.
    """

    server: str = "http://127.0.0.1:8080"
    name: str = "bot"
    password: str | None = None
    data: Path | None = None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Read the variables named above; the data folder is ``bot-data`` unless one says otherwise."""
        given = os.environ if variables is None else variables  # noqa: TID251 -- this is the bot's own door to it
        default = cls()
        return cls(
            given.get("ROOST_SERVER", default.server),
            given.get("ROOST_BOT_NAME", default.name),
            given.get("ROOST_BOT_PASSWORD"),
            Path(given.get("ROOST_BOT_DATA", "bot-data")),
        )
