"""Contacts: whom a user has written to, told to the user's host once for each pair."""

from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from itertools import islice

import structlog

from actors.rpc import questions as q
from api.host_links import HostLinks
from api.identity.directory import Person
from api.sending.send_request import SendRequest
from roost.errors import RoostError, Unavailable
from roost.tasks import BackgroundTasks, backoff, insist

_KEPT = 50_000
"""Pairs that are not told again; who is forgotten is told again with the next message."""

_TRIES = 5
_FIRST_S = 1.0
_LONGEST_S = 30.0

log = structlog.get_logger(__name__)


class Contacts:
    """Tells hosts of new contacts, behind the sends.

    A gateway that ends before a host was told has lost nothing for good: the next message of the pair goes
    through another one, which tells again.
    """

    def __init__(self, hosts: HostLinks) -> None:
        self._hosts = hosts
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._tasks = BackgroundTasks()

    def wrote(self, items: Iterable[SendRequest]) -> None:
        """Take note of messages that were accepted."""
        for item in items:
            person = item.person
            if person is None or item.to_self:
                continue
            if (item.principal.user, person.user) not in self._told:
                self._told[item.principal.user, person.user] = None
                self._tasks.spawn(self._tell(item.principal.user, person), "contact")
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)

    async def add(self, user: str, peer: Person) -> None:
        """Make a peer a contact of a user.

        Raises:
            RoostError: The user's host refuses, or does not answer.
        """
        if user != peer.user:
            await self._hosts.change(user, _added(user, peer))

    async def close(self) -> None:
        """Give up what was not told."""
        await self._tasks.cancel()

    async def _tell(self, user: str, peer: Person) -> None:
        pauses = islice(backoff(_FIRST_S, _LONGEST_S), _TRIES)
        try:
            # No one waits for it, so the store is not asked for each pair who has the user, as `change` does.
            # A host that had lost the user stores it; the next one learns it when it loads the user again.
            ask = partial(self._hosts.ask, user, _added(user, peer))
            await insist(ask, "contact_not_told", on=Unavailable, pauses=pauses)
        except RoostError as exc:
            self._told.pop((user, peer.user), None)
            log.warning("contact_given_up", user=user, reason=exc.detail)


def _added(user: str, peer: Person) -> q.AddContact:
    return q.AddContact(0, user, peer.user, peer.username)
