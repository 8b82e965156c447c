"""The client that apps use: one device of one user, on asyncio.

Its life in five lines:

    client = await Client.register("http://127.0.0.1:8080", "alice", "a password")
    await client.start()
    message_id = await client.send("bob", "hello")
    async for event in client.events():
        ...
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self

import aiohttp

from roost.client import account, entry, events
from roost.client.composing import Composer, Expiry
from roost.client.content import Attachment, File, FileReference, Known, Progress
from roost.client.keystore import Keystore
from roost.client.local_history import LocalHistory
from roost.client.options import Options
from roost.client.people import People
from roost.client.shell.engine import Engine
from roost.client.state import OutboxItem, Profile
from roost.client.store import Conversation, Page
from roost.client.thread import Message
from roost.client.transport.answers import Empty
from roost.client.transport.http import Api
from roost.client.user_account import UserAccount
from roost.crypto import SUITE
from roost.crypto.safety_numbers import SafetyNumber
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT, fold_username
from roost.wire import MAX_SUBSCRIPTIONS, Send, Typing

_SIGNED_OUT: Final = 401
_PROBE_S: Final = 5.0


class Client:
    """One device of one user; ``account`` has what concerns all of them.

    Make one with ``register``, ``login`` or ``resume``; ``start`` it; consume ``events()``
    or give ``Options.on_event``. Events are kept until the app has taken them, and the server sends no more
    than a window of entries beyond that.
    """

    def __init__(
        self, profile: Profile, keystore: Keystore, api: Api, options: Options, *, owns_http: bool
    ) -> None:
        self.profile = profile
        self.api = api
        self.account = UserAccount(api)
        renew = partial(account.renew_fallback, api, profile, options.random, self._flushed)
        self._engine = Engine(profile, keystore, api, options, renew)
        self._keystore = keystore
        self._people = People(profile, api, self._engine)
        self._composer = Composer(self._engine.timers, self.now_ms, options.random)
        self._past = LocalHistory(keystore, self._engine.flushed, self.now_ms)
        self._owns_http = owns_http
        self._closed = False

    def _flushed(self) -> Awaitable[None]:
        return self._engine.flushed()

    @classmethod
    async def register(
        cls,
        server: str,
        username: str,
        password: str,
        *,
        keystore: Keystore | None = None,
        http: aiohttp.ClientSession | None = None,
        options: Options | None = None,
    ) -> Self:
        """Create an account and sign in with its first device.

        Raises:
            RoostError: For example ``username_taken``.
            KeystoreInUse: Another client uses the keystore.
        """
        return cls.of(await entry.enter(server, username, password, keystore, http, options, new=True))

    @classmethod
    async def login(
        cls,
        server: str,
        username: str,
        password: str,
        *,
        keystore: Keystore | None = None,
        http: aiohttp.ClientSession | None = None,
        options: Options | None = None,
    ) -> Self:
        """Sign in: with the keystore's device if it has one, else with a new device.

        Raises:
            RoostError: For example ``bad_credentials``; ``too_large``: there may be no more devices, see
                `make_room`.
            KeystoreInUse: Another client uses the keystore.
            ValueError: The keystore belongs to another user or server.
        """
        return cls.of(await entry.enter(server, username, password, keystore, http, options, new=False))

    @classmethod
    async def join(
        cls,
        server: str,
        username: str,
        password: str,
        *,
        keystore: Keystore | None = None,
        http: aiohttp.ClientSession | None = None,
        options: Options | None = None,
    ) -> Self:
        """Sign in with the first device of a new account or, if the name is taken, as ``login`` does.

        Raises:
            RoostError: For example ``bad_credentials``: there is such an account, with another password.
            KeystoreInUse: Another client uses the keystore.
            ValueError: The keystore belongs to another user or server.
        """
        try:
            return await cls.register(
                server, username, password, keystore=keystore, http=http, options=options
            )
        except RoostError as exc:
            if exc.code.word != "username_taken":
                raise
        return await cls.login(server, username, password, keystore=keystore, http=http, options=options)

    @staticmethod
    async def make_room(
        server: str,
        username: str,
        password: str,
        device_id: str,
        *,
        http: aiohttp.ClientSession | None = None,
        options: Options | None = None,
    ) -> None:
        """Remove a device of an account that has as many as it may, for who has none of them at hand.

        Args:
            server: Base URL.
            username: Of the account.
            password: Its password.
            device_id: One of ``extra["devices"]`` of the ``too_large`` that refused to let a new device in.
            http: Connections to share.
            options: Of them ``ca``, ``clock`` and ``elapsed`` count.

        Raises:
            RoostError: ``bad_credentials``, or ``unknown_device``: it is gone already.
        """
        await entry.make_room(server, username, password, device_id, http, options)

    @classmethod
    def resume(
        cls,
        keystore: Keystore,
        *,
        http: aiohttp.ClientSession | None = None,
        options: Options | None = None,
    ) -> Self:
        """Continue as the device in the keystore; call inside a running event loop.

        A session that has come to its end by time begins again with the device's key, without a password.

        Raises:
            KeystoreInUse: Another client uses the keystore.
            ValueError: There is no profile in the keystore.
        """
        return cls.of(entry.resume(keystore, http, options))

    @classmethod
    def of(cls, entered: entry.Entered) -> Self:
        """Return the client of a device that is signed in."""
        profile, keystore, api, options, owns_http = entered
        return cls(profile, keystore, api, options, owns_http=owns_http)

    @property
    def username(self) -> str:
        """This user."""
        return self.profile.username

    @property
    def connected(self) -> bool:
        """Whether the session with the server is up."""
        return self._engine.session.open

    async def signed_out(self) -> bool:
        """Return whether the server wants the password again (`login`); not if it does not say so soon."""
        try:
            await self.api.call("GET", "/v1/me", timeout_s=_PROBE_S)
        except RoostError as exc:
            return exc.code.status == _SIGNED_OUT
        return False

    async def start(self) -> None:
        """Connect, and stay connected until ``close``; returns at once."""
        self._engine.start()

    async def send(
        self,
        to: str,
        content: bytes | str | Known,
        *,
        urgent: bool = True,
        expires_in_s: Expiry = "timer",
        silent: bool | None = None,
    ) -> str:
        """Put a message into the outbox, save it, and return its id; it is sent as soon as possible.

        This user's other devices get a copy (`SentElsewhere`).

        Args:
            to: The recipient's username; one's own: a message to one's other devices.
            content: What to send: text, one of the kinds of `roost.client.content`, or an app's own bytes.
            urgent: Whether it may wake a sleeping phone.
            expires_in_s: The message disappears so long after it was accepted: the server does not deliver
                it later and removes its content, and this client its own copy. ``timer``: as the timer of the
                conversation is now; None: it stays, whatever that is.
            silent: It wakes no one and is not counted as unread; None: as its kind is, so that reactions,
                edits and the like are.

        Raises:
            TypeError: The content is of no kind that can be sent.
            ValueError: It is longer than ``MAX_CONTENT``, or ``to`` is not a username.
        """
        return await self.submit(
            self.compose(to, content, urgent=urgent, expires_in_s=expires_in_s, silent=silent)
        )

    async def send_file(
        self,
        to: str,
        path: str | Path,
        *,
        progress: Progress | None = None,
        urgent: bool = True,
        expires_in_s: Expiry = "timer",
    ) -> str:
        """Seal a file, upload it, and send the message that brings it; returns that message's id.

        A connection that breaks is taken up where it broke.

        Args:
            to: The recipient.
            path: The file. Its name, without the folder, and its size are in the message.
            progress: Is told how many bytes of how many are through, as encrypted.
            urgent: As in ``send``.
            expires_in_s: As in ``send``.

        Raises:
            RoostError: The server refuses it, for example ``too_large`` or ``media_quota``.
            Unavailable: The server cannot be reached, also after some attempts.
            OSError: The file cannot be read.
            ValueError: ``to`` is not a username.
        """
        peer = fold_username(to)
        file = await self._engine.transfers.upload(Path(path), progress)
        return await self.send(peer, Attachment(file), urgent=urgent, expires_in_s=expires_in_s)

    async def submit(self, item: OutboxItem) -> str:
        """Put a composed message into the outbox, save it, and return its id."""
        self._engine.submit(item)
        await asyncio.shield(self._engine.flushed())
        return item.id

    def compose(
        self,
        to: str,
        content: bytes | str | Known,
        *,
        urgent: bool = True,
        expires_in_s: Expiry = "timer",
        silent: bool | None = None,
    ) -> OutboxItem:
        """Make a message with a fresh id, without sending it; raises as ``send`` does."""
        return self._composer.item(to, content, urgent=urgent, expires_in_s=expires_in_s, silent=silent)

    async def sealed(self, item: OutboxItem) -> Send:
        """Return the frame that would carry a message, for the devices as they are now."""
        for peer, found in (await self._engine.keys.query({item.to, self.username})).items():
            self._engine.exchange.keys_arrived(peer, found)
        payloads, own = self._engine.sealer.payloads(item), self._engine.sealer.copies(item)
        return Send(
            item.id, item.to, item.sent_at_ms, SUITE, payloads, item.urgent, item.expires_in_s, own,
            item.silent,
        )  # fmt: skip

    async def mark_read(self, peer: str, seq: int) -> None:
        """Tell ``peer``, and this user's other devices, that all up to ``seq`` of this mailbox has been read.

        Raises:
            ValueError: ``peer`` is not a username, or ``seq`` not a number of a mailbox.
        """
        if not 0 <= seq < SEQ_LIMIT:
            raise ValueError("a number of a mailbox is from 0 to 2**53 - 1")
        self._engine.read(fold_username(peer), seq)
        await asyncio.shield(self._engine.flushed())

    async def delivered(self, message_id: str, *, timeout_s: float | None = None) -> None:
        """Return once a message of this device is delivered, at once if it is in the outbox no longer.

        Raises:
            NotDelivered: It failed, or its time was over before.
            TimeoutError: It was not within this time; it is still in the outbox.
        """
        async with asyncio.timeout(timeout_s):
            await self._engine.deliveries.wait(message_id)

    async def history(self, peer: str, *, before: int | None = None, limit: int = 50) -> Page:
        """Return a page of a conversation as it is now; see `LocalHistory.page`."""
        return await self._past.page(peer, before=before, limit=limit)

    async def message(self, peer: str, message_id: str) -> Message | None:
        """Return one message of a conversation as it is now; see `LocalHistory.message`."""
        return await self._past.message(peer, message_id)

    async def conversations(self) -> list[Conversation]:
        """Return the conversations, the newest first; see `LocalHistory.conversations`."""
        return await self._past.conversations()

    async def search(self, text: str, *, peer: str | None = None, limit: int = 50) -> list[Message]:
        """Return the messages with all of these words; see `LocalHistory.search`."""
        return await self._past.search(text, peer=peer, limit=limit)

    def file(self, reference: FileReference) -> File:
        """Return the way to the file of a message in the history."""
        return File(reference, self._engine.transfers.download)

    def typing(self, peer: str, state: Literal["typing", "paused"] = "typing") -> None:
        """Show ``peer`` that this user types; lost if there is no connection."""
        self._engine.apply(self._engine.session.typing(Typing(fold_username(peer), state)))

    def subscribe(self, *users: str) -> None:
        """Subscribe to the presence of these users; replaces the previous subscription.

        Raises:
            ValueError: There are more than ``MAX_SUBSCRIPTIONS``, or one is not a username.
        """
        if len(users) > MAX_SUBSCRIPTIONS:
            raise ValueError(f"the presence of at most {MAX_SUBSCRIPTIONS} users can be followed")
        self._engine.apply(self._engine.session.subscribe([fold_username(user) for user in users]))

    def trust(self, peer: str) -> None:
        """Accept the changed identity, keys and devices of ``peer``, once compared; send what waits."""
        self._people.trust(peer, self.now_ms())

    @property
    def linked(self) -> bool:
        """Whether this device has a part in the user's identity: it was the first one, or was linked."""
        return self._engine.identity.is_linked

    def link_code(self) -> str:
        """Return a code that links this device; show it, as text or QR code, to a device that is linked.

        It is good once and for ten minutes, while this client runs. Whoever sees it cannot read messages, but
        with the user's password, or as the server, could answer it: hide it from others. `Linked` tells that
        this device is linked.
        """
        return str(self._engine.linker.code())

    async def link(self, code: str) -> str:
        """Link the device that shows this code: sign it, and hand over the identity, peers and history.

        Returns:
            The id of the message to one's own devices that brings it.

        Raises:
            LinkRefused: The code is another user's, has ended, or the server gives other keys for its device.
            NotLinked: This device is not linked itself.
            ValueError: It is no code.
            RoostError: The server refuses it.
        """
        return await self.send(self.username, await self._engine.linker.answer(code))

    async def unlink(self, device_id: str) -> None:
        """Remove another device of this user: its session ends, and it is signed no longer.

        It keeps what it has, the private half of the identity too. If someone else has it, call
        `replace_identity` as well.

        Raises:
            RoostError: For example ``unknown_device``.
        """
        await self._people.unlink(device_id)

    async def replace_identity(self, password: str) -> None:
        """Become a new person to everyone: peers are told, and other devices have to be linked again.

        Raises:
            RoostError: ``bad_credentials``.
        """
        await self._people.replace_identity(password)

    async def safety_number(self, peer: str) -> SafetyNumber:
        """Return what this user and ``peer`` compare, in person or on the phone.

        Raises:
            ValueError: One of them has no identity.
            RoostError: The server cannot be asked for the peer's keys.
        """
        return await self._people.safety_number(peer)

    async def verify(self, peer: str, told: str | None = None) -> None:
        """Note that the user has compared the safety number with ``peer``.

        Args:
            peer: Who.
            told: The digits that the peer sees, or the scanned payload; None: the user has compared them.

        Raises:
            ValueError: They differ, or the identity has changed and is not trusted.
            RoostError: As `safety_number`.
        """
        await self._people.verify(peer, told)

    def verified(self, peer: str) -> bool:
        """Return whether the user has compared safety numbers with ``peer`` as its identity is now."""
        return self._engine.directory.identities.is_verified(fold_username(peer))

    def pending(self) -> AsyncIterator[tuple[events.Event, Callable[[], None]]]:
        """Return an iterator as `events` does, of events each with a call that says that the app has it.

        The calls may come in any order: an event counts as taken, and a message as acknowledged, when it and
        all before it are. For apps that work at several at a time.
        """
        return self._engine.queue.pending()

    def events(self) -> AsyncIterator[events.Event]:
        """Return an iterator of what happens, until the client is closed or its session is over.

        An event counts as taken, and a message as acknowledged, when the next one is asked for.
        """
        return self._engine.queue.events()

    async def close(self) -> None:
        """Save, disconnect and stop; the outbox stays in the keystore."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._engine.stop()
        finally:
            self._keystore.unlock()
            if self._owns_http:
                await self.api.http.close()

    async def logout(self) -> None:
        """End the session on the server, then close.

        Raises:
            RoostError: The server did not confirm it; the client is closed all the same.
        """
        try:
            await self.api.call("DELETE", "/v1/sessions/current", shape=Empty)
        finally:
            await self.close()

    def now_ms(self) -> int:
        """Return the time on the server's clock, as far as it is known."""
        return self._engine.now_ms()
