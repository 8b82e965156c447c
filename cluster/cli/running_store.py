"""The store of a running system, for verbs that work on it without the coordinator, and who runs them."""

import argparse
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cluster.cli.verbs import found_by
from cluster.local import runfile
from cluster.local.running_servers import with_running_servers
from cluster.settings import Settings, SettingsInvalid
from roost.cli.terminal import BadUsage, say
from roost.clock import now_ms
from roost.owners import name_of

if TYPE_CHECKING:
    from storage.keyring import KeyRing
    from storage.mongo import MongoStore


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the settings that the options name; raises ``BadUsage`` if they are wrong."""
    try:
        return found_by(args)
    except SettingsInvalid as exc:
        raise BadUsage(str(exc)) from exc


@asynccontextmanager
async def opened_store(settings: Settings, ring: "KeyRing | None" = None) -> AsyncIterator["MongoStore"]:
    """Open the store: the settings' own, or the one that runs with the data folder.

    Args:
        settings: They name the store, the data folder, and the key ring.
        ring: The key ring, if it is open already.

    Raises:
        Unavailable: Nothing runs with this data folder, and no store is named.
        BadUsage: The key ring cannot be used.
    """
    from cluster import key_ring, resources  # noqa: PLC0415 -- loads every driver
    from storage.keyring import KeyRingError  # noqa: PLC0415 -- likewise

    if settings.mongo.url is None:
        runfile.found(settings.data)
        settings = with_running_servers(settings)
    try:
        store = resources.open_store(settings, ring or key_ring.load(settings))
    except KeyRingError as exc:
        raise BadUsage(str(exc)) from exc
    try:
        yield store
    finally:
        await store.close()


def operator_name() -> str:
    """Return who runs this command, as the audit log names them."""
    # Not `getpass.getuser`, which believes the variable LOGNAME.
    return f"operator:{name_of(os.getuid())}@{socket.gethostname()}"


async def write_down(store: "MongoStore", act: str, target: str, outcome: str) -> None:
    """Append to the audit log, and say the entry's place, to be noted elsewhere."""
    from storage.audit_chain import Act  # noqa: PLC0415 -- likewise

    entry = await store.audit.append(Act(operator_name(), act, target, outcome), now_ms())
    say(f"audit log: {entry.head}")
