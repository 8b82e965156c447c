"""Signing in for a chat: the keystore of this user on this machine, and the password where it is needed."""

import getpass
import hashlib
from pathlib import Path

from roost.cli.chat import full_account
from roost.cli.terminal import BadUsage
from roost.client import Client, FileKeystore, KeystoreInUse, Options
from roost.errors import RoostError

DATA = Path("~/.local/share/roost")
"""The default folder for keys."""


def folder_of(data: str | None) -> Path:
    """Return the folder for keys; None: the usual one.

    Raises:
        BadUsage: There is no home folder.
    """
    try:
        return Path(data) if data is not None else DATA.expanduser()
    except RuntimeError as exc:
        raise BadUsage("There is no home folder to keep the keys in: choose a folder with --data.") from exc


async def signed_in(server: str, username: str, folder: Path, options: Options) -> Client:
    """Return a client of this user: of the device in the folder, of a new device, or of a new account.

    Raises:
        BadUsage: Its keys can be neither read nor kept, or there is no one to ask for the password; or the
            account has as many devices as it may, and none is to go.
        KeystoreInUse: Another client uses the keystore.
        RoostError: Signing in was refused.
    """
    name = hashlib.sha256(server.encode()).hexdigest()[:8]
    keystore = _keystore(folder, f"{username}-{name}")
    if _found(keystore):
        client = Client.resume(keystore, options=options)
        if not await client.signed_out():
            return client
        await client.close()
        password = _password(f"{username} was signed out on this device. Password: ")
        return await Client.login(server, username, password, keystore=keystore, options=options)
    password = _password(f"Password for {username} (a new name makes an account): ")
    try:
        return await Client.join(server, username, password, keystore=keystore, options=options)
    except RoostError as exc:
        devices = full_account.devices_of(exc)
        if not devices:
            raise
    goes = full_account.chosen(username, devices)
    await Client.make_room(server, username, password, goes, options=options)
    return await Client.login(server, username, password, keystore=keystore, options=options)


def _keystore(folder: Path, name: str) -> FileKeystore:
    return FileKeystore(folder / f"{name}.db", formerly=folder / f"{name}.json")


def _found(keystore: FileKeystore) -> bool:
    try:
        keystore.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return keystore.load() is not None
    except KeystoreInUse:
        raise
    except ValueError as exc:
        raise BadUsage(
            f"{keystore.path} is not a keystore of Roost ({exc}). Restore it from a backup; or move it away, "
            "and sign in as a new device."
        ) from exc
    except OSError as exc:
        raise BadUsage(
            f"The keys cannot be kept in {keystore.path.parent}: {exc.strerror}. "
            "Choose another folder with --data."
        ) from exc


def _password(prompt: str) -> str:
    try:
        return getpass.getpass(prompt)
    except EOFError as exc:
        raise BadUsage("There is no terminal to ask for the password: run it in one.") from exc
