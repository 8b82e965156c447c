"""How a bot signs in: as the device in its folder, or as a new one, of a new account if need be."""

from roost.bot.memory import Memory
from roost.bot.settings import BotStopped, Settings
from roost.client import Client, FileKeystore, Keystore, MemoryKeystore, Options
from roost.client.state import Profile
from roost.errors import RoostError
from roost.ids import fold_username


async def client_of(settings: Settings, memory: Memory, options: Options | None) -> Client:
    """Return the bot's client, not started yet.

    Raises:
        BotStopped: The name or the folder cannot be this bot's, or the password is missing.
        RoostError: The server refuses it, or cannot be reached.
        OSError: The keys cannot be kept.
    """
    try:
        name = fold_username(settings.name)
        keystore: Keystore
        keystore = (
            MemoryKeystore()
            if settings.data is None
            else FileKeystore(settings.data / "keys.db", history=False)
        )
        known = keystore.load()
    except ValueError as exc:  # also `KeystoreInUse`
        raise BotStopped(f"as {settings.name!r} (ROOST_BOT_NAME) it cannot sign in: {exc}") from exc
    if known is not None:
        _check(settings, name, known)
        client = Client.resume(keystore, options=options)
        if not await client.signed_out():
            return client
        await client.close()
    enter = Client.join if known is None else Client.login
    password = settings.password or await memory.password()
    try:
        return await enter(settings.server, name, password, keystore=keystore, options=options)
    except RoostError as exc:
        if exc.code.word != "bad_credentials" or settings.password is not None:
            raise
        raise BotStopped(
            f"there is an account {name!r} already: give its password (ROOST_BOT_PASSWORD) or the folder of "
            "its keys (ROOST_BOT_DATA), or choose another name (ROOST_BOT_NAME)"
        ) from exc


def _check(settings: Settings, name: str, known: Profile) -> None:
    if (known.username, known.server) != (name, settings.server.rstrip("/")):
        raise BotStopped(
            f"{settings.data} is the folder of {known.username!r} at {known.server}, not of {name!r} at "
            f"{settings.server}: give each bot one of its own (ROOST_BOT_DATA)"
        )
