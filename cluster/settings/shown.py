"""The settings in force, as they may be shown: no password or credential, also none in a URL."""

import json
from typing import Any, Final

from cluster.settings.group import every
from cluster.settings.servers import without_password
from cluster.settings.settings import Settings

_URLS: Final = (
    ("mongo", "url"),
    ("redis", "url"),
    ("kafka", "url"),
    ("fcm", "endpoint"),
    ("telemetry", "traces_url"),
)


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as they may be shown."""
    values: dict[str, Any] = settings.model_dump(exclude={"origins"})
    for group, field in _URLS:
        values[group][field] = without_password(values[group][field])
    values["media"]["options"] = dict.fromkeys(settings.media.options, "***")
    if command := settings.keyring.master_command:
        program, _, arguments = command.strip().partition(" ")
        values["keyring"]["master_command"] = f"{program} ***" if arguments else program
    return values


def in_force(settings: Settings) -> list[dict[str, Any]]:
    """Return ``name``, ``value`` and ``source`` of each setting, of types that JSON has.

    What no one gave and is not the default was found at the start, as the address of an embedded server.
    """
    values = json.loads(json.dumps(shown(settings), default=str))
    defaults = json.loads(json.dumps(shown(Settings()), default=str))
    rows = []
    for path, _ in every(Settings):
        name, value = ".".join(path), _at(values, path)
        found = "default" if value == _at(defaults, path) else "start"
        rows.append({"name": name, "value": value, "source": settings.origins.get(name, found)})
    return rows


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values
