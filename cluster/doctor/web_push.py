"""Checks of Web Push: the key that browsers subscribe with, who is asked, which services are sent to."""

import asyncio
from collections.abc import Iterator
from typing import Final

from cluster.doctor.cleartext import is_loopback
from cluster.doctor.finding import Finding, ok, warning
from cluster.doctor.here import place_of
from cluster.doctor.running import unreachable
from cluster.settings import Settings
from storage.keyring import KeyRing

_HTTPS: Final = 443


def web_push(settings: Settings, ring: KeyRing | None) -> Iterator[Finding]:
    """Yield what is to be said of the key and of the settings; nothing without a key ring."""
    if ring is None:
        return
    hosts, inside = settings.webpush.hosts, settings.webpush.internal
    detail = f"VAPID key {ring.vapid_key().id}, to {', '.join((*hosts, *inside)) or 'no service'}"
    if settings.webpush.subject is None and is_loopback(settings.server_name) and _for_phones(settings):
        yield warning(
            "web push",
            f"{detail}; services are told to ask {settings.push_subject}, and some refuse that",
            "Set ROOST_WEBPUSH__SUBJECT to mailto: and an address where you are reached.",
        )
        return
    yield ok("web push", detail)


async def reachable_services(settings: Settings, endpoint: str) -> list[Finding]:
    """Return whether the services that are named can be reached: public ones if pushes leave this machine.

    Args:
        settings: They name the services.
        endpoint: Where FCM's pushes go, '' if nowhere.
    """
    places = [place_of(each) for each in settings.webpush.internal]
    if not is_loopback(place_of(endpoint)[0]):
        places += [_place(each) for each in settings.webpush.hosts if not each.startswith("*")]
    reasons = await asyncio.gather(*(unreachable(*place) for place in places))
    away = [f"{host}:{port} ({why})" for (host, port), why in zip(places, reasons, strict=True) if why]
    if away:
        fix = "Let this machine reach them through its firewall, or take them out of ROOST_WEBPUSH__HOSTS."
        return [warning("push services", f"out of reach: {', '.join(away)}", fix)]
    return [ok("push services", f"{len(places)} can be reached")] if places else []


def _for_phones(settings: Settings) -> bool:
    return settings.fcm.credentials_file is not None or settings.cluster.address is not None


def _place(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port or _HTTPS)
