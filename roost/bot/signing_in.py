"""How a bot signs in: as the device in its folder, or as a new one, of a new account if need be."""

import secrets

from roost.bot.settings import Settings
from roost.client import Client, FileKeystore, Keystore, MemoryKeystore, Options
from roost.errors import RoostError


async def client_of(settings: Settings, options: Options | None) -> Client:
    """Return the bot's client, not started yet.

    Raises:
        RoostError: For example ``bad_credentials``: the account is there, and has another password.
        KeystoreInUse: Another process is this bot.
    """
    keystore: Keystore
    keystore = (
        MemoryKeystore() if settings.data is None else FileKeystore(settings.data / "keys.db", history=False)
    )
    if keystore.load() is not None:
        return Client.resume(keystore, options=options)
    password = settings.password or secrets.token_urlsafe(24)
    try:
        return await Client.register(
            settings.server, settings.name, password, keystore=keystore, options=options
        )
    except RoostError as exc:
        if exc.code.word != "username_taken" or settings.password is None:
            raise
    return await Client.login(settings.server, settings.name, password, keystore=keystore, options=options)
