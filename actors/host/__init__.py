"""The host of user actors: the shell around the pure rules."""

from actors.host.host import ActorHost
from actors.host.settings import HostSettings
from actors.host.writes.writer import Stores

__all__ = ["ActorHost", "HostSettings", "Stores"]
