"""``roost demo``: one conversation of two people that shows each of the seven steps of a message."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from rich.console import Console
from rich.markup import escape

from roost.cli.launch import own_server
from roost.client import (
    Accepted,
    Client,
    Connected,
    Delivered,
    Event,
    Keystore,
    MemoryKeystore,
    MessageReceived,
    Options,
    Read,
    connections,
)
from roost.client.transport import send_body
from roost.errors import RoostError, Unavailable
from roost.wire import unpadded

PATIENCE_S = 20.0
"""How long each step may take before it counts as failed."""

E = TypeVar("E", bound=Event)
_SHOWN_BYTES = 24


@dataclass
class Step:
    """One line of the output."""

    title: str
    held: bool
    ms: float
    detail: str = ""


class NotHeldError(Exception):
    """A step did not happen; the message says what to look at."""


@dataclass
class Person:
    """One of the two people, with every event of their client and its time."""

    name: str
    server: str
    http: aiohttp.ClientSession
    keystore: Keystore = field(default_factory=MemoryKeystore)
    told: list[tuple[float, Event]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    client: Client | None = None

    def hear(self, event: Event) -> None:
        """Note an event and its time."""
        self.told.append((time.perf_counter(), event))
        self.news.set()

    @property
    def on(self) -> Client:
        """The client, which must have been made."""
        if self.client is None:
            raise NotHeldError(f"{self.name} has no client.")
        return self.client

    async def register(self) -> None:
        """Make an account and connect."""
        options = Options(on_event=self.hear, device_name="demo")
        self.client = await Client.register(
            self.server,
            self.name,
            secrets.token_urlsafe(16),
            keystore=self.keystore,
            http=self.http,
            options=options,
        )
        await self.client.start()
        await self.event(Connected)

    async def come_back(self, *, over_http: bool = False) -> None:
        """Connect again with what the keystore has."""
        options = Options(on_event=self.hear, mode="poll" if over_http else "auto")
        self.client = Client.resume(self.keystore, http=self.http, options=options)
        await self.client.start()

    async def leave(self) -> None:
        """Disconnect."""
        await self.on.close()

    async def event(self, kind: type[E], test: Callable[[E], bool] = lambda _: True) -> tuple[float, E]:
        """Wait for an event; return when it came, and it.

        Raises:
            NotHeldError: It did not come.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for at, event in self.told:
                if isinstance(event, kind) and test(event):
                    return at, event
            self.news.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self.news.wait()
            except TimeoutError as exc:
                raise NotHeldError(
                    f"{self.name} did not get {kind.__name__} within {PATIENCE_S:.0f} s: "
                    "check `roost status` and the server's log."
                ) from exc


class Story:
    """The conversation, step by step."""

    def __init__(self, server: str, fcm: str | None, http: aiohttp.ClientSession, console: Console) -> None:
        tail = secrets.token_hex(3)
        self.alice = Person(f"alice_{tail}", server, http)
        self.bob = Person(f"bob_{tail}", server, http)
        self.steps: list[Step] = []
        self._fcm = fcm
        self._http = http
        self._console = console
        self._token = f"demo-{tail}"

    async def tell(self) -> bool:
        """Run all parts; stop at the first that fails."""
        parts: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("Both online", self._online),
            ("The same request, sent twice", self._duplicate),
            ("A wrong device list", self._mismatch),
            ("Bob is away", self._away),
            ("Alice is away when Bob reads", self._read_away),
        ]
        try:
            for title, part in parts:
                self._console.rule(title, align="left")
                await part()
        except NotHeldError as exc:
            self._note(str(exc), held=False)
        except Unavailable:
            raise
        except RoostError as exc:
            self._note(f"{exc.detail} ({exc.code.word})", held=False)
        finally:
            for person in (self.alice, self.bob):
                if person.client is not None:
                    await person.client.close()
        return all(step.held for step in self.steps)

    def _note(self, title: str, ms: float = 0.0, detail: str = "", *, held: bool = True) -> None:
        self.steps.append(Step(title, held, round(ms, 1), detail))
        mark = "[green]✓[/]" if held else "[red]✗[/]"
        self._console.print(f"{mark} {ms:8.1f} ms  {escape(title)}  [dim]{escape(detail)}[/]")

    def _require(self, title: str, held: bool, ms: float = 0.0, detail: str = "") -> None:  # noqa: FBT001
        self._note(title, ms, detail, held=held)

    async def _online(self) -> None:
        begin = time.perf_counter()
        await self.alice.register()
        await self.bob.register()
        self._note("Alice and Bob have accounts, devices and keys", _ms(begin))
        text = "Are you home?"
        begin = time.perf_counter()
        item = self.alice.on.compose(self.bob.name, text)
        frame = await self.alice.on.sealed(item)
        item.payloads = frame.payloads
        payload = next(iter(frame.payloads.values()), b"")
        shown = f"{text!r} -> {payload[:_SHOWN_BYTES].hex()}… ({len(payload)} bytes)"
        held = bool(payload) and text.encode() not in payload
        self._require("1 Alice looked up and checked Bob's keys, and encrypted", held, _ms(begin), shown)
        await self.alice.on.submit(item)
        self._note("2 sent over the stream", _ms(begin))
        at, accepted = await self.alice.event(Accepted, lambda event: event.id == item.id)
        self._note("3 durable in the log, accepted", _ms(begin, at), f"seq {accepted.seq}")
        state = await self._stored(item.id)
        self._note("4 stored in Bob's mailbox", _ms(begin), f"the server says: {state}")
        at, got = await self.bob.event(MessageReceived, lambda event: event.id == item.id)
        self._require("5 delivered to Bob's device", got.seq == accepted.seq, _ms(begin, at))
        self._require("6 decrypted and verified by Bob", got.text == text, _ms(begin, at), repr(got.text))
        at, delivered = await self.alice.event(Delivered, lambda event: event.seq >= accepted.seq)
        self._note("7 Alice sees that it is delivered", _ms(begin, at), f"up to seq {delivered.seq}")

    async def _stored(self, message_id: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            params = {"to": self.bob.name}
            answer = await self.alice.on.api.call("GET", f"/v1/messages/{message_id}", params=params)
            state = str(answer["state"])
            if state != "accepted":
                return state
            await asyncio.sleep(0.05)
        raise NotHeldError(
            "The message was accepted but not stored: is a router running? See `roost status`."
        )

    async def _duplicate(self) -> None:
        begin = time.perf_counter()
        alice = self.alice.on
        frame = await alice.sealed(alice.compose(self.bob.name, "Sent twice, shown once"))
        answers = [await alice.api.call("POST", "/v1/messages", send_body(frame)) for _ in range(2)]
        same = answers[0]["seq"] == answers[1]["seq"]
        self._require("the retry got the same answer", same, _ms(begin), f"seq {answers[0]['seq']}")
        after = await alice.send(self.bob.name, "And then?")
        await self.bob.event(MessageReceived, lambda event: event.id == after)
        count = sum(isinstance(event, MessageReceived) and event.id == frame.id for _, event in self.bob.told)
        self._require("Bob has it once", count == 1, _ms(begin), f"{count} time(s)")

    async def _mismatch(self) -> None:
        begin = time.perf_counter()
        alice = self.alice.on
        body = send_body(await alice.sealed(alice.compose(self.bob.name, "To a phone that does not exist")))
        body["payloads"] = {"UNKNOWNPHONE": unpadded(b"x" * 64)}
        try:
            await alice.api.call("POST", "/v1/messages", body)
        except RoostError as exc:
            lists = (exc.extra.get("missing"), exc.extra.get("extra"))
            device = self.bob.on.profile.device_id
            held = exc.code.word == "device_mismatch" and lists == ([device], ["UNKNOWNPHONE"])
            detail = f"{exc.code.status} {exc.code.word}, missing {lists[0]}, extra {lists[1]}"
            self._require("refused, naming the missing and the extra devices", held, _ms(begin), detail)
            return
        self._note("a wrong device list was accepted", _ms(begin), held=False)

    async def _away(self) -> None:
        body = {"provider": "fcm", "token": self._token}
        await self.bob.on.api.call("PUT", "/v1/devices/current/push", body)
        await self.bob.leave()
        begin = time.perf_counter()
        text = "Call me when you are back"
        message_id = await self.alice.on.send(self.bob.name, text)
        await self.alice.event(Accepted, lambda event: event.id == message_id)
        self._note("accepted while Bob is away", _ms(begin))
        if self._fcm is None:
            self._console.print("  [yellow]the push is not checked: pass --fcm URL[/]")
        else:
            push = await self._push()
            leaks = [word for word in (self.alice.name, text, message_id) if word in json.dumps(push)]
            self._require(
                "Bob's phone is woken, told nothing",
                not leaks,
                _ms(begin),
                json.dumps(push)[:160],
            )
        await self.bob.come_back(over_http=True)
        at, got = await self.bob.event(MessageReceived, lambda event: event.id == message_id)
        self._require(
            "Bob synced and decrypted it over HTTP", got.text == text, _ms(begin, at), repr(got.text)
        )
        at, _ = await self.alice.event(Delivered, lambda event: event.seq >= got.seq)
        self._note("Alice sees that it is delivered", _ms(begin, at))

    async def _push(self) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            async with self._http.get(f"{str(self._fcm).rstrip('/')}/pushes") as answer:
                pushes = await answer.json()
            mine = [push for push in pushes if push["token"] == self._token]
            if mine:
                return mine[-1]
            await asyncio.sleep(0.1)
        raise NotHeldError(f"No push for Bob's phone arrived at {self._fcm}: is a pusher running?")

    async def _read_away(self) -> None:
        await self.alice.leave()
        begin = time.perf_counter()
        last = max(event.seq for _, event in self.bob.told if isinstance(event, MessageReceived))
        await self.bob.on.mark_read(self.alice.name, last)
        await asyncio.sleep(0.3)
        await self.alice.come_back()
        at, read = await self.alice.event(Read, lambda event: event.seq >= last)
        self._note("Alice reconnects and sees that Bob has read it", _ms(begin, at), f"up to seq {read.seq}")


def _ms(begin: float, end: float | None = None) -> float:
    return ((time.perf_counter() if end is None else end) - begin) * 1000


async def _tell(server: str, fcm: str | None, console: Console, ca: Path | None) -> Story:
    async with connections(ca) as http:
        story = Story(server, fcm, http, console)
        await story.tell()
        return story


def run(server: str | None, fcm: str | None, *, ca: Path | None = None, as_json: bool = False) -> int:
    """Run the conversation and return the exit code: 0 only if every step succeeded.

    Args:
        server: Base URL; None: one is started.
        fcm: Base URL of its embedded push endpoint, to look at pushes.
        ca: PEM file of a private CA to believe.
        as_json: Print one JSON object on stdout.

    Raises:
        Unavailable: No server could be reached or started.
    """
    console = Console(stderr=as_json, highlight=False)
    with ExitStack() as stack:
        if server is None:
            console.print("Starting a server …")
            ready = stack.enter_context(own_server())
            server, fcm = ready["http"], ready.get("fcm")
        story = asyncio.run(_tell(server, fcm, console, ca))
    held = bool(story.steps) and all(step.held for step in story.steps)
    console.print("[green]All steps succeeded.[/]" if held else "[red]A step failed.[/]")
    if as_json:
        steps = [asdict(step) for step in story.steps]
        sys.stdout.write(json.dumps({"held": held, "server": server, "steps": steps}) + "\n")
    return 0 if held else 1
