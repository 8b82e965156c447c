"""The linking of devices: a new one shows a code, an old one signs it and hands over what it knows."""

import asyncio
from collections.abc import Mapping
from typing import IO, Protocol

import msgspec
from msgspec import Struct

from roost.client import archive, events
from roost.client.content import FileReference, Linked
from roost.client.core.directory import Directory
from roost.client.own_identity import OwnIdentityKeeper
from roost.client.shell.exchange import Exchange
from roost.client.shell.transfers import Transfers, spool
from roost.client.state import Profile
from roost.client.store.history import History
from roost.client.transport.keys import KeyCalls
from roost.crypto import DeviceSecrets
from roost.crypto.identity import IdentitySecrets
from roost.crypto.link_code import LIFE_S, SECRET_BYTES, LinkCode, open_answer, seal_answer
from roost.errors import RoostError
from roost.ids import address_of
from roost.signing import read_key, verify_device_keys
from roost.tasks import BackgroundTasks
from roost.wire import from_base64, unpadded

_NAME = "archive.ndjson.gz"
_TURN = 500


class LinkRefused(ValueError):  # noqa: N818 -- named for what happened
    """A device is not linked; the sentence says why."""


class Owner(Protocol):
    """What linking reports to."""

    def now_ms(self) -> int:
        """Return the time on the server's clock."""
        ...

    @property
    def history(self) -> History | None:
        """What this device has of conversations."""
        ...

    def random(self, length: int) -> bytes:
        """Return random bytes."""
        ...

    def flushed(self) -> asyncio.Future[None]:
        """Return a future that is done once everything so far is kept."""
        ...

    def tell(self, event: events.Event) -> None:
        """Tell the app of an event."""
        ...


class _Archive(Struct):
    media_id: str
    key: str
    sha256: str
    size: int

    @classmethod
    def of(cls, file: FileReference) -> "_Archive":
        return cls(file.media_id, unpadded(file.key), unpadded(file.sha256), file.size)

    def reference(self) -> FileReference:
        return FileReference(self.media_id, from_base64(self.key), from_base64(self.sha256), self.size)


class _Answer(Struct):
    """What the new device gets, sealed to it."""

    master: str
    generation: int
    archive: _Archive | None = None


class Linker:
    """Links devices of this user, as the new one and as the old one.

    Args:
        profile: This device; changed in place.
        directory: Whom it knows.
        identity: This person's own identity.
        calls: The calls about keys.
        transfers: Sends and fetches the archive.
        exchange: Is told of keys that arrived, or have changed.
        owner: What it reports to.
    """

    def __init__(
        self,
        profile: Profile,
        directory: Directory,
        identity: OwnIdentityKeeper,
        calls: KeyCalls,
        transfers: Transfers,
        exchange: Exchange,
        owner: Owner,
    ) -> None:
        self._profile, self._directory, self._identity = profile, directory, identity
        self._calls, self._transfers = calls, transfers
        self._exchange, self._owner = exchange, owner
        self._secrets = DeviceSecrets(profile.curve25519, profile.ed25519)
        self._address = address_of(profile.username, profile.server_name)
        self._shown: LinkCode | None = None
        self._tasks = BackgroundTasks()

    def code(self) -> LinkCode:
        """Return a code that links this device, once and for ten minutes; one that was shown before ends."""
        ends_s = self._owner.now_ms() // 1000 + LIFE_S
        device, secret = self._profile.device_id, self._owner.random(SECRET_BYTES)
        self._shown = LinkCode(self._profile.username, device, self._secrets.ed25519_public, secret, ends_s)
        return self._shown

    async def answer(self, text: str) -> Linked:
        """Read the code of a new device, sign the device, and return the message to oneself that it awaits.

        Raises:
            LinkRefused: The code is another user's, has ended, or the server gives other keys for the device.
            NotLinked: This device has no part in the person's identity itself.
            ValueError: It is no code.
            RoostError: The server refuses something.
        """
        code = LinkCode.parse(text)
        me, secrets = self._profile.username, self._identity.secrets
        if code.username != me:
            raise LinkRefused(f"the code is of a device of {code.username}, not of {me}")
        if not code.is_good(self._owner.now_ms()):
            raise LinkRefused("the code has ended: have the new device show another one")
        found = (await self._calls.query({me}))[me]
        bundle = found.bundles.get(code.device_id)
        if bundle is None:
            raise LinkRefused("the server knows no such device of yours")
        device = verify_device_keys(bundle, self._address, code.device_id)
        if device.ed25519 != code.ed25519:
            raise LinkRefused(
                "the server gives other keys for the device than it shows itself: it is not linked"
            )
        await self._identity.sign(code.device_id, bundle)
        self._exchange.keys_arrived(me, (await self._calls.query({me}))[me])
        told = _Answer(unpadded(secrets.master), secrets.generation, await self._sent_archive())
        sealed, proof = seal_answer(msgspec.json.encode(told), code, device, self._secrets)
        return Linked(code.device_id, unpadded(sealed), unpadded(proof))

    def received(self, event: events.MessageReceived) -> bool:
        """Take a message if it is one between own devices about linking; the app is not to see it."""
        if event.peer != self._profile.username or not isinstance(event.body, Linked):
            return False
        if event.body.device == self._profile.device_id:
            try:
                self._accept(event.body, event.device)
            except ValueError as exc:
                self._owner.tell(events.Refused("linked", "invalid", f"This device was not linked: {exc}."))
        return True

    async def close(self) -> None:
        """Stop fetching an archive; the device stays linked."""
        await self._tasks.cancel()

    def _accept(self, answer: Linked, by: str) -> None:
        code, sender = self._shown, self._directory.device(self._profile.username, by)
        if code is None or sender is None:
            raise LinkRefused("it shows no code, or does not know the other device")
        opened = open_answer(
            from_base64(answer.sealed), from_base64(answer.proof), code, sender, self._secrets
        )
        if not code.is_good(self._owner.now_ms()):
            raise LinkRefused("the answer came after the code had ended")
        told = msgspec.json.decode(opened, type=_Answer)
        self._identity.adopt(IdentitySecrets(read_key(told.master), told.generation))
        self._shown = None
        self._exchange.keys_changed(self._profile.username)
        self._tasks.spawn(self._fetched(told.archive, by), "archive of another device")

    async def _sent_archive(self) -> _Archive:
        with spool() as file:
            history = self._owner.history
            lines = None if history is None else history.copied()
            await archive.write(file, self._profile, self._address, self._owner.now_ms(), lines)
            file.seek(0)
            return _Archive.of(await self._transfers.upload_from(file, _NAME))

    async def _fetched(self, found: _Archive | None, by: str) -> None:
        told = events.Linked(by)
        if found is not None:
            try:
                with spool() as file:
                    await self._transfers.fetch(found.reference(), file)
                    file.seek(0)
                    told = await self._taken(file, by)
            except (RoostError, ValueError, OSError) as exc:
                told = events.Linked(by, problem=str(exc))
        self._owner.tell(told)

    async def _taken(self, file: IO[bytes], by: str) -> events.Linked:
        peers = lines = 0
        take = self._owner.history.take_over() if self._owner.history is not None else None
        for each in archive.read(file, self._address):
            if isinstance(each, archive.Person):
                peers += self._know(each)
            elif isinstance(each, Mapping) and take is not None and take(each):
                lines += 1
                if lines % _TURN == 0:
                    await self._owner.flushed()
        await self._owner.flushed()
        return events.Linked(by, peers, lines)

    def _know(self, person: archive.Person) -> bool:
        if person.peer == self._profile.username:
            return False
        for change in self._directory.adopt(person.peer, person.devices, person.identity):
            self._owner.tell(change)
        self._exchange.keys_changed(person.peer)
        return True
