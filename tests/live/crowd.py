"""Many SDK clients that talk at random, and an account of who should have got what.

Everything is decided by one seeded generator. Each message names its sender, its recipient and its
number, so a lost, doubled, misdirected or overtaken one is seen from the text alone.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from roost import client as sdk
from roost.client.transport import StreamTransport
from roost.errors import RoostError
from roost.wire import MSGPACK
from tests.live.waiting import until

PASSWORD: Final = "correct horse battery staple"

_AT_ONCE: Final = 16
_READ_EVERY_S: Final = 0.05


class Person:
    """One user with one device.

    Attributes:
        heard: Texts by sender, as the app was told them.
        came: When each text came, by `time.monotonic`.
        delivered: Watermark by peer.
        read: Watermark by peer.
        accepted: Seq by message id.
        seqs: Numbers of the messages, as they came.
        problems: What should never happen.
    """

    def __init__(self, server: str, name: str, http: aiohttp.ClientSession) -> None:
        self.server, self.name, self.http = server, name, http
        self.heard: dict[str, list[str]] = defaultdict(list)
        self.came: dict[str, float] = {}
        self.delivered: dict[str, int] = {}
        self.read: dict[str, int] = {}
        self.accepted: dict[str, int] = {}
        self.reconnects = 0
        self.seqs: list[int] = []
        self.problems: list[sdk.Event] = []
        self.away = False
        self.client: sdk.Client
        self._keystore = sdk.MemoryKeystore()
        self._unread: dict[str, int] = {}
        self._line: StreamTransport | None = None

    async def join(self) -> None:
        """Make the account and connect."""
        self.client = await sdk.Client.register(
            self.server,
            self.name,
            PASSWORD,
            keystore=self._keystore,
            http=self.http,
            options=self._options(),
        )
        await self.client.start()

    def cut(self) -> None:
        """Break the connection as a dead network does: no goodbye."""
        socket = self._line._socket if self._line is not None else None
        connection = socket._response.connection if socket is not None else None
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    async def leave(self) -> None:
        """End the app; what it has is in the keystore."""
        self.away = True
        await self.client.close()

    async def come_back(self) -> None:
        """Start the app again with its keystore."""
        self.client = sdk.Client.resume(self._keystore, http=self.http, options=self._options())
        await self.client.start()
        self.away = False

    async def mark_read(self) -> None:
        """Say that everything that came since the last time is read."""
        unread, self._unread = self._unread, {}
        for peer, seq in unread.items():
            await self.client.mark_read(peer, seq)

    async def call(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Call the HTTP API."""
        return await self.client.api.call(method, path, body, params=params or None)

    @property
    def outbox(self) -> int:
        """Messages that are not known to be delivered."""
        return len(self.client.profile.state.outbox)

    def _options(self) -> sdk.Options:
        return sdk.Options(on_event=self._told, transport=self._dial)

    def _dial(self) -> StreamTransport:
        self._line = StreamTransport(self.http, self.server, MSGPACK)
        return self._line

    def _told(self, event: sdk.Event) -> None:
        match event:
            case sdk.MessageReceived():
                self.heard[event.peer].append(event.text)
                self.seqs.append(event.seq)
                self.came.setdefault(event.text, time.monotonic())
                self._unread[event.peer] = event.seq
            case sdk.Delivered():
                self.delivered[event.peer] = max(event.seq, self.delivered.get(event.peer, 0))
            case sdk.Read():
                self.read[event.peer] = max(event.seq, self.read.get(event.peer, 0))
            case sdk.Accepted():
                self.accepted[event.id] = event.seq
            case sdk.Disconnected():
                self.reconnects += 1
                if event.final:
                    self.problems.append(event)
            case sdk.Undecryptable() | sdk.Missed() | sdk.Failed() | sdk.Refused() | sdk.Unsupported():
                self.problems.append(event)
            case sdk.KeyChanged(change="changed" | "invalid"):
                self.problems.append(event)


class Crowd:
    """All of them.

    Attributes:
        people: By name.
        sent: Texts by (sender, recipient), in order.
        last: Id of the last message by (sender, recipient).
        went: When each text was handed to the SDK.
        calm: Sockets are to drop no more.
    """

    def __init__(self, server: str, http: aiohttp.ClientSession, seed: int) -> None:
        self.server, self.http = server, http
        self.random = random.Random(seed)
        self.seed = seed
        self.people: dict[str, Person] = {}
        self.contacts: dict[str, list[str]] = {}
        self.sent: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.last: dict[tuple[str, str], str] = {}
        self.went: dict[str, float] = {}
        self.ids: dict[str, str] = {}
        self.calm = asyncio.Event()

    async def join(self, names: list[str], contacts: int) -> None:
        """Register everybody, and decide who talks to whom."""
        gate = asyncio.Semaphore(_AT_ONCE)
        self.people = {name: Person(self.server, name, self.http) for name in names}
        await asyncio.gather(*(_within(gate, person.join()) for person in self.people.values()))
        for name in names:
            others = [each for each in names if each != name]
            self.contacts[name] = self.random.sample(others, min(contacts, len(others)))

    async def send_one(self) -> str:
        """Let somebody who is there say the next thing to one of the contacts."""
        sender = self.random.choice([name for name, person in self.people.items() if not person.away])
        return await self.say(sender, self.random.choice(self.contacts[sender]))

    async def say(self, sender: str, to: str) -> str:
        """Send the next message of this pair and return its text."""
        thread = self.sent[sender, to]
        text = f"{sender} to {to}, number {len(thread)}, {self.random.getrandbits(64):016x}"
        thread.append(text)
        self.went[text] = time.monotonic()
        self.ids[text] = self.last[sender, to] = await self.people[sender].client.send(to, text)
        return text

    async def talk(self, count: int, rate: float) -> None:
        """Send messages at a steady rate; falls behind rather than bunching up."""
        for _ in range(count):
            await self.send_one()
            await asyncio.sleep(1 / rate)

    async def drop_sockets(self, names: list[str], every: float) -> None:
        """Until `calm` is set: break a connection of these people, or end an app and start it again."""
        while not self.calm.is_set():
            await asyncio.sleep(every * self.random.uniform(0.5, 1.5))
            person = self.people[self.random.choice(names)]
            if self.random.random() < 0.8:
                person.cut()
            else:
                await self._restart(person)

    async def _restart(self, person: Person) -> None:
        await person.leave()
        await person.come_back()

    async def keep_reading(self) -> None:
        """Until cancelled: everybody reads what comes."""
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            for person in self.people.values():
                if not person.away:
                    await person.mark_read()

    # --- the account ------------------------------------------------------------------------------

    async def settle(self, within: float) -> float:
        """Wait until everything sent was heard, and its sender knows that it was delivered and read."""
        try:
            return await until(self.missing, within=within, every=0.2)
        except AssertionError as exc:
            raise AssertionError(f"{exc}\nLost: {await self._post_mortem()}") from None

    async def _post_mortem(self) -> list[dict[str, Any]]:
        """Return what is known of the first messages that were sent and not heard."""
        found: list[dict[str, Any]] = []
        for (sender, to), texts in self.sent.items():
            for number, text in enumerate(texts):
                if text not in self.people[to].heard[sender] and len(found) < 3:
                    found.append(await self._known_of(sender, to, number, text))
        return found

    async def _known_of(self, sender: str, to: str, number: int, text: str) -> dict[str, Any]:
        message_id = self.ids[text]
        try:
            state = await self.people[sender].call("GET", f"/v1/messages/{message_id}", to=to)
        except RoostError as exc:
            state = exc.detail
        history = await self.people[to].call("GET", f"/v1/conversations/{sender}/messages")
        return {
            "pair": (sender, to),
            "number": number,
            "id": message_id,
            "accepted": self.people[sender].accepted.get(message_id),
            "state": state,
            "neighbours": [self.ids[each] for each in self.sent[sender, to][max(0, number - 2) : number + 3]],
            "in_history": [each for each in history["messages"] if each["id"] == message_id],
            "sent_s": self.went[text] - min(self.went.values()),
        }

    def missing(self) -> str:
        """Say what has not come yet, '' when everything has."""
        unheard = {
            pair: texts[len(self.people[pair[1]].heard[pair[0]]) :]
            for pair, texts in self.sent.items()
            if len(self.people[pair[1]].heard[pair[0]]) < len(texts)
        }
        if unheard:
            total = sum(map(len, unheard.values()))
            few = {pair: (texts, self._marks(*pair)) for pair, texts in list(unheard.items())[:3]}
            return f"{total} messages not heard (seed {self.seed}), such as {few}"
        waiting = {name: person.outbox for name, person in self.people.items() if person.outbox}
        if waiting:
            few = [self._marks(*pair) for pair in self.sent if pair[0] in waiting][:12]
            return f"outboxes not empty: {waiting}; their pairs: {few}"
        unread = [pair for pair in self.last if not self._is_read(*pair)]
        shown = [self._marks(*pair) for pair in unread[:3]]
        return f"{len(unread)} pairs without a read watermark, such as {shown}" if unread else ""

    def _marks(self, sender: str, to: str) -> dict[str, Any]:
        person, peer = self.people[sender], self.people[to]
        return {
            "pair": (sender, to),
            "accepted": person.accepted.get(self.last[sender, to]),
            "delivered": person.delivered.get(to),
            "read": person.read.get(to),
            "marks": (
                person.client.profile.state.delivered.get(to),
                person.client.profile.state.read.get(to),
            ),
            "said_read": peer.client.profile.state.reads.get(sender),
            "away": (person.away, peer.away),
            "not_said": dict(peer._unread),
            "last_heard": peer.seqs[-1:],
            "cursor": peer.client.profile.state.cursor,
            "outbox": [
                (i.order, i.seq, i.safe) for i in person.client.profile.state.outbox.values() if i.to == to
            ],
            "problems": (person.problems, peer.problems),
            "reconnects": (person.reconnects, peer.reconnects),
        }

    def _is_read(self, sender: str, to: str) -> bool:
        person = self.people[sender]
        return person.read.get(to, 0) >= person.accepted.get(self.last[sender, to], 1 << 60)

    def check(self, *, ordered: bool = True) -> None:
        """Assert that everybody heard exactly what was sent, once and in order, and nothing odd happened."""
        problems = {name: person.problems for name, person in self.people.items() if person.problems}
        assert not problems, problems
        for name, person in self.people.items():
            assert person.seqs == sorted(set(person.seqs)), f"{name}: {person.seqs}"
        heard = {
            (sender, name): texts
            for name, person in self.people.items()
            for sender, texts in person.heard.items()
            if texts
        }
        wrong = {
            pair: _difference(self.sent.get(pair, []), heard.get(pair, []))
            for pair in self.sent.keys() | heard.keys()
            if not _same(self.sent.get(pair, []), heard.get(pair, []), ordered=ordered)
        }
        assert not wrong, f"seed {self.seed}: {len(wrong)} pairs differ: {dict(list(wrong.items())[:3])}"

    async def check_watermarks(self) -> None:
        """Assert that the server and the events agree that each pair's last message is delivered and read."""
        gate = asyncio.Semaphore(_AT_ONCE)
        asked = [_within(gate, self._state(*pair)) for pair in self.last]
        states = dict(zip(self.last, await asyncio.gather(*asked), strict=True))
        for (sender, to), state in states.items():
            person, message_id = self.people[sender], self.last[sender, to]
            assert state["state"] == "read", (sender, to, state)
            # Sent again because a reply was lost, it was accepted under a second number too.
            assert 0 < state["seq"] <= person.accepted[message_id], (sender, to, state)
            assert person.delivered[to] >= state["seq"], (sender, to, state, person.delivered[to])
            assert person.read[to] >= state["seq"], (sender, to, state, person.read[to])

    async def _state(self, sender: str, to: str) -> dict[str, Any]:
        person = self.people[sender]
        found: dict[str, Any] = await person.call("GET", f"/v1/messages/{self.last[sender, to]}", to=to)
        return found

    def slowest(self, since: float) -> float:
        """Return the longest time from send to receipt of what was sent since then, in seconds."""
        texts = [text for text, at in self.went.items() if at >= since]
        came = {text: at for person in self.people.values() for text, at in person.came.items()}
        return max(came[text] - self.went[text] for text in texts)


@asynccontextmanager
async def crowd(server: str, prefix: str, size: int, *, contacts: int, seed: int) -> AsyncIterator[Crowd]:
    """Gather a crowd whose people read what they get; they leave at the end."""
    broken: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: broken.append(context))
    async with sdk.connections() as http:
        gathered = Crowd(server, http, seed)
        reading = asyncio.create_task(gathered.keep_reading())
        try:
            await gathered.join([f"{prefix}{number}" for number in range(size)], contacts)
            yield gathered
        finally:
            await cancelled(reading)
            clients = [p.client for p in gathered.people.values() if hasattr(p, "client")]
            await asyncio.gather(*(client.close() for client in clients))
    assert not broken, broken


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel a task that runs for ever; if it had ended with an exception, raise that."""
    task.cancel()
    for outcome in await asyncio.gather(task, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def _within(gate: asyncio.Semaphore, work: Any) -> Any:
    async with gate:
        return await work


def _same(sent: list[str], heard: list[str], *, ordered: bool) -> bool:
    return sent == heard if ordered else sorted(sent) == sorted(heard)


def _difference(sent: list[str], heard: list[str]) -> dict[str, list[str]]:
    doubled = [text for text in set(heard) if heard.count(text) > 1]
    return {
        "lost": sorted(set(sent) - set(heard))[:3],
        "phantom": sorted(set(heard) - set(sent))[:3],
        "doubled": doubled[:3],
        "sent": sent if len(sent) < 12 else [],
        "heard": heard if len(heard) < 12 else [],
    }
