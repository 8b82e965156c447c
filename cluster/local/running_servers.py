"""The servers of the system that runs with a data folder, as the other verbs reach them."""

from typing import Any

from cluster.local import passwords, runfile
from cluster.settings import Settings


def with_running_servers(settings: Settings) -> Settings:
    """Return the settings with address and password of each running server for which they name none."""
    running = runfile.read(settings.data)
    if running is None:
        return settings
    addresses = {"kafka": running.kafka, "mongo": running.mongo, "redis": running.redis}
    changes: dict[str, dict[str, Any]] = {}
    for name, url in addresses.items():
        if getattr(settings, name).url is None:
            changes[name] = {"url": url}
            if passwords.file_of(settings.data, name).exists():  # Tansu knows no password
                changes[name]["security"] = passwords.security(settings, name)
    return settings.changed(changes)
