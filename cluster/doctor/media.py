"""The store of media, as every gateway will use it."""

import asyncio
import secrets
from typing import Final

from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.settings import Settings
from roost.errors import Unavailable
from storage.blobs import StoredObjects

_PATIENCE_S: Final = 10.0
_URL: Final = "Set ROOST_MEDIA__URL to a bucket, or to a folder that all machines share."


async def media_store(settings: Settings) -> Finding:
    """Whether a file that one gateway takes can be given out by another."""
    media = settings.media
    if media.url is None:
        if settings.cluster.address is None:
            return ok("media", "files are kept in the data folder, for this machine")
        return warning(
            "media", "files are kept in a folder of each machine, and found on that one only", _URL
        )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await _tried(StoredObjects(media.url, media.options))
    except (Unavailable, TimeoutError, OSError, ValueError) as exc:
        why = exc.detail if isinstance(exc, Unavailable) else type(exc).__name__
        return failed(
            "media", f"{media.url} cannot be used: {why}", "Check ROOST_MEDIA__URL and its options."
        )
    return ok("media", f"{media.url} takes files and gives them back")


async def _tried(objects: StoredObjects) -> None:
    place = f"doctor/{secrets.token_hex(8)}"
    await objects.put(place, b"roost")
    found = await objects.get(place)
    await objects.delete([place])
    if found != b"roost":
        raise Unavailable("What was written is not there.")
