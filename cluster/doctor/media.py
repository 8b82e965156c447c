"""The store of media, as every gateway will use it."""

import asyncio
import secrets
from typing import Final, NamedTuple

from cluster.doctor.finding import Finding, failed, ok, warning
from cluster.settings import Settings
from roost.errors import Unavailable
from storage.access_denied import AccessDenied
from storage.blobs import StoredObjects
from storage.blobs.failures import BucketMissing, BucketUnusable

_PATIENCE_S: Final = 10.0
_SHARED: Final = "Set ROOST_MEDIA__URL to a bucket, or to a folder that all machines share."
_AWAY: Final = "Start it, let this machine reach it, or correct its address in ROOST_MEDIA__OPTIONS."
_FOLDER: Final = "Let this user write in that folder, or correct ROOST_MEDIA__URL."
_FILE: Final = "Correct it, or ROOST_MEDIA__OPTIONS_FILE or ROOST_MEDIA__CA."
_FIXES: Final[dict[type[Unavailable], str]] = {
    BucketMissing: "Make it, or correct ROOST_MEDIA__URL.",
    AccessDenied: "Put credentials that may read, write, list and delete there into "
    "ROOST_MEDIA__OPTIONS_FILE, or give the role of this machine these rights.",
    BucketUnusable: "Correct ROOST_MEDIA__OPTIONS; an authority of your own is named with ROOST_MEDIA__CA.",
}


class Problem(NamedTuple):
    """Why no file can be kept in the store that the settings name.

    Attributes:
        detail: What is wrong.
        fix: What to do about it.
        passes: It may end without a change of settings, rights or buckets.
    """

    detail: str
    fix: str
    passes: bool


async def media_store(settings: Settings) -> Finding:
    """Whether a file that one gateway takes can be given out by another."""
    url = settings.media.url
    if url is None and settings.cluster.address is None:
        return ok("media", "files are kept in the data folder, for this machine")
    if url is None:
        return warning(
            "media", "files are kept in a folder of each machine, and found on that one only", _SHARED
        )
    found = await problem(settings, url)
    if found is not None:
        return failed("media", found.detail, found.fix)
    return ok("media", f"{url} takes files and gives them back")


async def problem(settings: Settings, url: str) -> Problem | None:
    """Try the store: write, read, list and delete, as gateways and the coordinator do."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await _tried(StoredObjects(url, settings.media.access()))
    except TimeoutError:
        return Problem(f"{url} does not answer within {_PATIENCE_S:g} s.", _AWAY, passes=True)
    except Unavailable as exc:
        fix = _FOLDER if url.startswith("file:") else _FIXES.get(type(exc), _AWAY)
        return Problem(f"{url} cannot be used: {exc.detail}", fix, passes=type(exc) not in _FIXES)
    except OSError as exc:
        fix = _FOLDER if url.startswith("file:") else _FILE
        return Problem(f"{url} cannot be used: {exc}.", fix, passes=False)
    return None


async def _tried(objects: StoredObjects) -> None:
    blob = f"doctor-{secrets.token_hex(8)}"
    await objects.put(f"{blob}/0", b"roost")
    found = await objects.get(f"{blob}/0")
    await objects.clear(blob)
    if found != b"roost":
        raise Unavailable("What was written is not there.")
