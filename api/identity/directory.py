"""The directory: users and their devices by username, cached until they change.

An entry is good until its user changes (Redis channel ``directory``), everything is forgotten
when the subscription comes back, and while it is away an entry lives one second.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from api.identity.cross_signing import bundle_of, encoded, identity_of
from roost.clock import Clock
from roost.cross_signing import Identity
from roost.errors import RoostError
from roost.ids import address_of, fold_username
from storage.account_rows import Device, StoredIdentity, User
from storage.ports import Store

_KEPT = 50_000
_BLIND_MS = 1_000
_LONG_MS = 10 * 60 * 1000

log = structlog.get_logger(__name__)


class Person(Struct, frozen=True):
    """What sending needs to know of a user.

    Attributes:
        user: User id.
        username: Username.
        keyed: Devices that can be sent to: those with keys.
        devices: All devices.
        bundles: The signed keys by device, as JSON: compact, for they are kept for many users.
        identity: The user's identity, likewise; empty if there is none.
    """

    user: str
    username: str
    keyed: frozenset[str]
    devices: frozenset[str]
    bundles: bytes = b"{}"
    identity: bytes = b""

    def stored_identity(self) -> StoredIdentity | None:
        """Return the user's identity."""
        return msgspec.json.decode(self.identity, type=StoredIdentity) if self.identity else None

    def keys(self) -> dict[str, dict[str, Any]]:
        """Return the signed keys of each device that has some."""
        found: dict[str, dict[str, Any]] = msgspec.json.decode(self.bundles)
        return found


class Directory:
    """The cache. Loads of the same name are shared; what is asked for together is read together."""

    def __init__(self, store: Store, clock: Clock, server_name: str, kept: int = _KEPT) -> None:
        self._store = store
        self._clock = clock
        self._server_name = server_name
        self._kept = kept
        self._people: OrderedDict[str, tuple[Person, int]] = OrderedDict()
        self._names: dict[str, str] = {}
        self._loading: dict[str, asyncio.Task[Person | None]] = {}
        self._epoch = 0
        self.subscribed = False

    def peek(self, username: str) -> Person | None:
        """Return the cached entry, None if it must be loaded."""
        found = self._people.get(username)
        if found is None or not self._fresh(found[1]):
            return None
        return found[0]

    async def person(self, username: str) -> Person | None:
        """Return the user with this (folded) username, None if there is none."""
        found = self.peek(username)
        if found is not None:
            return found
        task = self._loading.get(username)
        if task is None:
            task = asyncio.create_task(self._load(username))
            self._loading[username] = task
            task.add_done_callback(lambda done: self._loaded(username, done))
        return await asyncio.shield(task)

    async def people(self, usernames: Iterable[str]) -> dict[str, Person]:
        """Return those of these users that exist."""
        # What is known now counts: asked for again after the wait, it may have been forgotten meanwhile.
        found = {name: self.peek(name) for name in usernames}
        missing = [name for name, person in found.items() if person is None]
        loaded = await asyncio.gather(*(self.person(name) for name in missing))
        found |= zip(missing, loaded, strict=True)
        return {name: person for name, person in found.items() if person is not None}

    async def known(self, username: str) -> Person:
        """Return the user of this name, in any spelling.

        Raises:
            RoostError: ``unknown_user``.
        """
        person = await self.person(folded(username))
        if person is None:
            raise _unknown(username)
        return person

    async def ids_of(self, usernames: Iterable[str]) -> dict[str, str]:
        """Return ``{username: user id}`` of those that exist, in any spelling."""
        names = []
        for name in usernames:
            with contextlib.suppress(ValueError):  # a name that cannot exist
                names.append(fold_username(name))
        return {name: person.user for name, person in (await self.people(names)).items()}

    def forget(self, user: str) -> None:
        """Drop what is known of a user (by id), also what is being read this moment."""
        self._epoch += 1
        name = self._names.pop(user, None)
        if name is not None:
            self._people.pop(name, None)
        self._loading.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._epoch += 1
        self._people.clear()
        self._names.clear()
        self._loading.clear()

    def _fresh(self, at_ms: int) -> bool:
        # Below zero the clock was set back: nothing tells then how old the entry is.
        return 0 <= self._clock() - at_ms < (_LONG_MS if self.subscribed else _BLIND_MS)

    def _loaded(self, username: str, done: asyncio.Task[Person | None]) -> None:
        if self._loading.get(username) is done:
            del self._loading[username]
        if not done.cancelled():
            done.exception()

    async def _load(self, username: str) -> Person | None:
        epoch = self._epoch
        user = await self._store.accounts.user_by_name(username, opened=False)
        if user is None:
            return None
        devices = (await self._store.accounts.devices_of([user.user_id], opened=False)).get(user.user_id, [])
        found = person_of(user, devices, self._server_name)
        # A change that was announced while we read may not be in what we read.
        if epoch == self._epoch:
            self._keep(found)
        return found

    def _keep(self, person: Person) -> None:
        self._people[person.username] = (person, self._clock())
        self._names[person.user] = person.username
        if len(self._people) > self._kept:
            _, (oldest, _) = self._people.popitem(last=False)
            self._names.pop(oldest.user, None)


def folded(username: str) -> str:
    """Return the one spelling; a name that cannot exist is an unknown user."""
    try:
        return fold_username(username)
    except ValueError as exc:
        raise _unknown(username) from exc


def _unknown(username: str) -> RoostError:
    return RoostError("unknown_user", f"There is no user {username[:64]!r}.")


def person_of(user: User, devices: list[Device], server_name: str) -> Person:
    """Reduce an account and its devices to what sending needs."""
    address = address_of(user.username, server_name)
    identity = _identity_of(user, address)
    found = {device.device: _bundle_of(device, address, identity) for device in devices}
    keys = {device: bundle for device, bundle in found.items() if bundle is not None}
    return Person(
        user.user_id,
        user.username,
        frozenset(keys),
        frozenset(found),
        msgspec.json.encode(keys),
        encoded(user.identity) if user.identity is not None and identity is not None else b"",
    )


def _identity_of(user: User, address: str) -> Identity | None:
    if user.identity is None:
        return None
    try:
        return identity_of(user.identity, address)
    except ValueError as exc:
        log.warning("identity_unusable", user=user.user_id, why=str(exc))
        return None


def _bundle_of(device: Device, address: str, identity: Identity | None) -> dict[str, Any] | None:
    """Return what others get of a device's keys; None if it has none, or none that they could use.

    What was stored is read with the rules of today: one odd device must not fail a query for many users.
    """
    if device.keys is None:
        return None
    try:
        return bundle_of(device, address, identity)
    except ValueError as exc:
        log.warning("device_keys_unusable", device=device.device, why=str(exc))
        return None
