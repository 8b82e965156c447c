"""The servers underneath as ``roost up`` starts them: with passwords."""

from dataclasses import dataclass
from pathlib import Path

from cluster.local import passwords
from cluster.local.servers import Server
from cluster.settings import Settings
from storage.access import Access


@dataclass(frozen=True)
class Guarded:
    """One server that serves a single user."""

    server: Server
    access: Access

    @property
    def address(self) -> str:
        """``host:port``."""
        return self.server.spec.address


def access_of(folder: Path, server: str) -> Access:
    """Return what a client of this server in the folder needs."""
    return passwords.security(Settings(data=folder), server).access()
