"""The checks that a system does not start without: what they find would keep it from ever being ready.

They change nothing, and take a moment; only servers of one's own are waited for, some seconds at most.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from cluster.doctor import encryption, here, reach
from cluster.doctor.cleartext import cleartext
from cluster.doctor.finding import FAILED, Finding
from cluster.doctor.node_certificate import node_certificate
from cluster.folders import short_temp
from cluster.settings import Settings, without_password
from roost.cli.terminal import BAD_USAGE, DEPENDENCY_AWAY
from roost.errors import Unavailable
from roost.private_folders import make_closed
from storage.access_denied import AccessDenied

_SERVERS: Final = ("kafka", "mongo", "redis")


class Refusal(NamedTuple):
    """Why nothing is started.

    Attributes:
        sentence: What is wrong, and what to do about it.
        code: The exit code: bad usage, or a dependency that is away.
    """

    sentence: str
    code: int


def wrong_here(settings: Settings) -> Refusal | None:
    """Return what is wrong on this machine: the folder, the secrets, the files that the settings name."""
    for finding in _findings(settings):
        if finding.state == FAILED:
            return Refusal(f"{finding.detail.rstrip('.')}. {finding.fix}", BAD_USAGE)
    temp = short_temp(settings.data).parent
    try:
        make_closed(temp)
    except OSError as exc:
        return Refusal(
            f"The folder {exc.filename or temp} for sockets cannot be used: {exc.strerror}; or set TMPDIR to "
            "a folder of this user, with a short path.",
            BAD_USAGE,
        )
    return None


def _findings(settings: Settings) -> Iterator[Finding]:
    yield here.folder(settings)
    yield here.key_ring(settings)[0]
    yield from here.unusable_certificate(settings)
    yield from encryption.findings(settings)
    yield from cleartext(settings)
    yield node_certificate(settings, dt.datetime.now(dt.UTC))
    if settings.fcm.credentials_file is not None:
        yield here.push_credential(settings)[0]


async def away(settings: Settings) -> Refusal | None:
    """Return which server of one's own does not answer, or not to us."""
    urls: dict[str, str] = {
        name: url for name in _SERVERS if (url := getattr(settings, name).url) is not None
    }
    if not urls:
        return None
    from cluster.doctor import visit  # noqa: PLC0415 -- loads every driver

    for silent in await asyncio.gather(*(_silent(settings, name, url) for name, url in urls.items())):
        if silent is not None:
            return silent
    for name, found in (await visit.ask_servers(settings, urls)).items():
        if isinstance(found, Unavailable):
            code = BAD_USAGE if isinstance(found, AccessDenied) else DEPENDENCY_AWAY
            fix = visit.credentials_fix(name) if code == BAD_USAGE else _fix(name)
            return Refusal(f"{name} at {without_password(urls[name])}: {found.detail} {fix}", code)
    return None


async def unusable_media(settings: Settings, say: Callable[[str], None]) -> Refusal | None:
    """Return why no file can ever be kept; what may pass is only said, since messages need no files."""
    if settings.media.url is None:
        return None
    from cluster.doctor.media import problem  # noqa: PLC0415 -- loads the clients of buckets

    found = await problem(settings, settings.media.url)
    if found is None:
        return None
    if not found.passes:
        return Refusal(f"{found.detail} {found.fix}", BAD_USAGE)
    say(f"Until it answers no file can be sent or fetched: {found.detail} {found.fix}")
    return None


async def _silent(settings: Settings, name: str, url: str) -> Refusal | None:
    """Return that none of its addresses can be reached, which takes less time to find out than to ask."""
    why = await reach.failure(name, url, getattr(settings, name).security.access())
    if why is None:
        return None
    return Refusal(f"There is no {name} at {without_password(url)} ({why}). {_fix(name)}", DEPENDENCY_AWAY)


def _fix(name: str) -> str:
    return f"Start it, let this machine reach it, or correct ROOST_{name.upper()}__URL (or --{name})."
