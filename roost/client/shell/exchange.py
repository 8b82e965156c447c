"""Messages on their way in and out, and the keys that they wait for."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from roost.client.core import Session
from roost.client.core.directory import Directory
from roost.client.core.lane import pause_ms
from roost.client.effects import Effect, Seal, Take
from roost.client.events import Event
from roost.client.shell.inbox import ASKED_AT_MOST, Inbox
from roost.client.shell.sealing import Sealer
from roost.client.state import OutboxItem
from roost.client.transport.keys import FoundKeys
from roost.wire import MAX_FRAME, send_size

REFUSED_AT_MOST: Final = 8
"""Refused queries, some 50 s, after which messages of a sender without keys are no longer kept waiting."""

_ASK_AGAIN_S: Final = 0.5


class Owner(Protocol):
    """What the exchange reports to."""

    def now_ms(self) -> int:
        """Return the time on the server's clock."""
        ...

    def apply(self, effects: list[Effect]) -> None:
        """Perform what the core asks for."""
        ...

    def tell(self, event: Event) -> None:
        """Tell the app of an event that is no mailbox entry."""
        ...

    def deliver(self, event: Event | None, seq: int) -> None:
        """Hand a mailbox entry on."""
        ...

    def flushed(self) -> "asyncio.Future[None]":
        """Keep everything so far, and hand it to the transport."""
        ...


class Exchange:
    """Seals what goes out and opens what comes in, as soon as the keys for it are there.

    Args:
        username: This user.
        session: Has the outbox.
        directory: Whose keys are known.
        sealer: Has what waits to be sealed.
        inbox: Has what waits to be opened.
        want_keys: Asks the server for a user's keys.
        owner: What it reports to.
    """

    def __init__(
        self,
        username: str,
        session: Session,
        directory: Directory,
        sealer: Sealer,
        inbox: Inbox,
        want_keys: Callable[[str], None],
        owner: Owner,
    ) -> None:
        self._me, self._outbox, self._directory = username, session.outbox, directory
        self._sealer, self._inbox, self._want_keys, self._owner = sealer, inbox, want_keys, owner
        self._asking: set[str] = set()
        self._refused: dict[str, int] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Ask for no more keys."""
        for timer in self._later.values():
            timer.cancel()

    def seal(self, effect: Seal) -> None:
        """Seal a message, once the keys for it are there."""
        item = effect.item
        if effect.own or effect.refresh or not self._directory.recipients(item.to):
            user = self._me if effect.own else item.to
            self._sealer.wait(item, user)
            self._want_keys(user)
        else:
            self._seal_now(item)

    def take(self, effect: Take) -> None:
        """Queue what came."""
        self._inbox.add(effect)

    def process(self) -> None:
        """Hand on what can be, and ask for the keys that the rest waits for."""
        for peer in self._inbox.process(self._owner.deliver) - self._asking:
            self._asking.add(peer)
            self._want_keys(peer)

    def keys_arrived(self, peer: str, found: FoundKeys) -> None:
        """Learn a peer's devices and identity, seal what waited for them, and open what did."""
        for change in self._directory.learn(peer, found.bundles, found.identity):
            self._owner.tell(change)
        waiting = self._sealer.release(peer)
        doubtful = [item for item in waiting if self._directory.in_doubt(item.to)]
        self._unsealable(doubtful)
        self._hold(peer)
        for item in waiting:
            if item not in doubtful:
                self._seal_now(item)
        self._refused.pop(peer, None)
        asked = self._inbox.asked(peer)
        if 0 < asked < ASKED_AT_MOST:
            self._ask_later(peer, _ASK_AGAIN_S * asked)
        else:
            self._release(peer)
        self._owner.flushed()

    def keys_changed(self, peer: str) -> None:
        """Hold or release what waits for this peer, as it is known now, and ask for its keys."""
        self._hold(peer)
        self._want_keys(peer)
        self._owner.flushed()

    def keys_refused(self, peer: str) -> None:
        """Let this peer's messages wait, both ways, and ask for its keys alone again later."""
        self._unsealable(self._sealer.release(peer))
        times = self._refused[peer] = self._refused.get(peer, 0) + 1
        if times >= REFUSED_AT_MOST:
            self._inbox.give_up(peer)
            self._release(peer)
        if self._directory.knows(peer) or self._inbox.waits_for(peer):
            self._ask_later(peer, pause_ms(times) / 1000)
        self._owner.flushed()

    def keys_unavailable(self, peers: set[str]) -> None:
        """Let the outbox try again later; the inbox keeps waiting."""
        for peer in peers:
            self._unsealable(self._sealer.release(peer))

    def _hold(self, peer: str) -> None:
        held = self._directory.in_doubt(peer)
        self._owner.apply(self._outbox.hold(peer, self._owner.now_ms(), held=held))

    def _seal_now(self, item: OutboxItem) -> None:
        now_ms = self._owner.now_ms()
        try:
            payloads, own = self._sealer.payloads(item), self._sealer.copies(item)
        except ValueError:
            self._owner.apply(self._outbox.unsealable(item.id, now_ms, "device_mismatch"))
            return
        if send_size(payloads, own) > MAX_FRAME:
            self._owner.apply(self._outbox.unsealable(item.id, now_ms, "too_large"))
            return
        self._owner.apply(self._outbox.sealed(item.id, payloads, now_ms, own))

    def _unsealable(self, items: list[OutboxItem]) -> None:
        for item in items:
            self._owner.apply(self._outbox.unsealable(item.id, self._owner.now_ms()))

    def _release(self, peer: str) -> None:
        self._asking.discard(peer)
        self._inbox.release(peer, self._owner.deliver)
        self.process()

    def _ask_later(self, peer: str, delay_s: float) -> None:
        self._asking.add(peer)
        if peer not in self._later:
            loop = asyncio.get_running_loop()
            self._later[peer] = loop.call_later(delay_s, self._ask_again, peer)

    def _ask_again(self, peer: str) -> None:
        del self._later[peer]
        self._want_keys(peer)
