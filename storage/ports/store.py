"""The document store: every port that MongoDB serves."""

from typing import Protocol

from storage.ports.accounts import Accounts, Keys, Sessions
from storage.ports.audit import Audit
from storage.ports.blobs import Blobs
from storage.ports.cluster_state import ClusterState
from storage.ports.erasures import Erasures
from storage.ports.events import Events
from storage.ports.mailboxes import Conversations, Mailboxes
from storage.ports.push_tokens import PushTokens
from storage.ports.retention import Retention


class Store(Protocol):
    """Everything in MongoDB, behind one client."""

    @property
    def accounts(self) -> Accounts:
        """Users, their devices and blocks."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Families of refresh tokens."""
        ...

    @property
    def push_tokens(self) -> PushTokens:
        """How devices are woken."""
        ...

    @property
    def keys(self) -> Keys:
        """Public keys of devices."""
        ...

    @property
    def mailboxes(self) -> Mailboxes:
        """Stored entries and cursors."""
        ...

    @property
    def conversations(self) -> Conversations:
        """Watermarks of each pair of users."""
        ...

    @property
    def erasures(self) -> Erasures:
        """Accounts that are to be erased or were, and what erases them."""
        ...

    @property
    def retention(self) -> Retention:
        """The walk of the sweep, and entries that expire."""
        ...

    @property
    def cluster(self) -> ClusterState:
        """The log's state, the map and the roster."""
        ...

    @property
    def audit(self) -> Audit:
        """Every act of an operator."""
        ...

    @property
    def events(self) -> Events:
        """What happened when."""
        ...

    @property
    def blobs(self) -> Blobs:
        """Rows of media."""
        ...

    async def prepare(self) -> None:
        """Create collections and indexes. Idempotent, safe while others do the same."""
        ...

    async def ping(self) -> None:
        """Return if the server answers."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
