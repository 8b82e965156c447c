"""The ports: what the rest of Roost may ask of the servers underneath, and what each call guarantees.

Every call that cannot reach its server raises ``roost.errors.Unavailable``; whether it took
effect is then unknown, which is why every write here is idempotent or a compare-and-set.
No driver's type or exception passes through a port.
"""

from storage.ports.accounts import Accounts, Keys, Sessions
from storage.ports.audit import Audit
from storage.ports.blobs import Blobs, Objects
from storage.ports.cache import Accepted, Cache
from storage.ports.cluster_state import ClusterState
from storage.ports.events import Events
from storage.ports.log import Contact, LogAdmin, LogLost, LogReader, LogRecord, LogWriter
from storage.ports.mailboxes import Conversations, Mailboxes
from storage.ports.push_tokens import PushTokens
from storage.ports.store import Store

__all__ = [
    "Accepted",
    "Accounts",
    "Audit",
    "Blobs",
    "Cache",
    "ClusterState",
    "Contact",
    "Conversations",
    "Events",
    "Keys",
    "LogAdmin",
    "LogLost",
    "LogReader",
    "LogRecord",
    "LogWriter",
    "Mailboxes",
    "Objects",
    "PushTokens",
    "Sessions",
    "Store",
]
