"""MongoDB, Redis and Kafka in memory, with the guarantees of `storage.ports`, held to the contract's tests.

`store` is made of what the deterministic runs have and of what a gateway needs beyond it: `accounts`,
`sessions`, `keys`, `media`. `cache` and `log` likewise.
"""

from roost.testing.servers.cache import MemoryCache
from roost.testing.servers.log import MemoryLog
from roost.testing.servers.store import MemoryStore

__all__ = ["MemoryCache", "MemoryLog", "MemoryStore"]
