"""A light XMPP client for load, in the style of `benchmarks.client`, with a parser of its own.

A message is accepted when the server's stream management (XEP-0198) acknowledges it to its sender, and
delivered when the recipient's socket has it. Passwords go as SASL PLAIN over loopback.
"""

import asyncio
import base64
import re
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import cast

from benchmarks.accounts import PASSWORD, Account
from benchmarks.client import BODY
from benchmarks.ledger import HEAD_BYTES, Book, Ledger, head
from sim.people.light_stream import Counts, Manner

DOMAIN = "localhost"
READY_S = 30.0

_NAME = re.compile(rb"<([^\s/>]+)")
_HANDLED = re.compile(rb"""\sh=['"](\d+)""")
_FROM = re.compile(rb"""\sfrom=['"]([^@'"]+)@""")
_BODY = re.compile(rb"<body>([^<]*)</body>")
_STREAM = (
    f"<stream:stream to='{DOMAIN}' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "version='1.0'>"
).encode()
_ASK = b"<r xmlns='urn:xmpp:sm:3'/>"
_STANZAS = (b"message", b"presence", b"iq")

Stanza = tuple[bytes, bytes]
"""Name and text of an element below the stream's root."""

Steps = Generator[None, bytes, None]
"""A sign-in that is sent the name of each element that comes."""


def split(data: bytes) -> tuple[list[Stanza], bytes]:
    """Return the complete elements below the root, and what is left.

    Enough for what servers send to this client: no element holds another of its own name, and ``>`` stands
    escaped in values, as ejabberd writes it.
    """
    found: list[Stanza] = []
    at = 0
    while True:
        begin = data.find(b"<", at)
        close = data.find(b">", begin)
        if begin < 0 or close < 0:
            return found, data[begin:] if begin >= 0 else b""
        end = close + 1
        matched = _NAME.match(data, begin)
        name = matched[1] if matched else data[begin + 1 : close]
        whole = data[close - 1 : close] == b"/" or name == b"stream:stream"
        if name[:1] not in b"?/" and not whole:
            tail = b"</" + name + b">"
            last = data.find(tail, end)
            if last < 0:
                return found, data[begin:]
            end = last + len(tail)
        at = end
        if not name.startswith(b"?"):
            found.append((name, data[begin:end]))


def body(ledger: int, number: int) -> str:
    """Return the body of a message: as many bytes as a payload of the other client has."""
    return head(ledger, number).hex().ljust(BODY, "x")


def payload(text: bytes) -> bytes:
    """Return the beginning of the payload that a body stands for."""
    try:
        return bytes.fromhex(text[: 2 * HEAD_BYTES].decode())
    except ValueError:
        return b""


class XmppClient(asyncio.Protocol):
    """One resource of one user; see `benchmarks.client.Client` for the arguments."""

    def __init__(
        self, account: Account, book: Book, counts: Counts, moved: Callable[[], None], manner: Manner
    ) -> None:
        self.account, self.counts, self.manner = account, counts, manner
        self.silent_until_s = 0.0
        self._book, self._moved = book, moved
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._transport: asyncio.Transport
        self._steps = self._sign_in()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._managed = self._asking = self._leaving = False
        self._ledger: Ledger
        self._unacked: deque[int] = deque()
        self._written = self._handled = self._received = 0

    async def connect(self, base: str) -> None:
        """Sign in, and wait until the server manages the stream; ``base`` is ``host:port``."""
        host, port = base.rsplit(":", 1)
        await self._loop.create_connection(lambda: self, host, int(port))
        async with asyncio.timeout(READY_S):
            await self._ready

    def leave(self) -> None:
        """Disconnect for good."""
        self._leaving = True
        if self._ready.done():
            self._acknowledge()
            self._transport.write(b"</stream:stream>")
            self._transport.close()

    def send(self, ledger: Ledger, number: int, to: Account) -> None:
        """Send a message of a ledger to an account."""
        self._ledger = ledger
        stanza = (
            f"<message to='{to.username}@{DOMAIN}' type='chat' id='{number}'>"
            f"<body>{body(ledger.number, number)}</body></message>"
        ).encode()
        self._unacked.append(number)
        self._written += 1
        ledger.write(number, time.perf_counter_ns())
        if self._asking:
            self._transport.write(stanza)
        else:
            self._asking = True
            self._transport.write(stanza + _ASK)

    def send_again(self, _now_s: float) -> None:
        """Do nothing: TCP and stream management see to it."""

    # --- what comes -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the stream."""
        # uvloop's transport is none of asyncio's by name.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_STREAM)
        next(self._steps)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an unexpected end."""
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(f"closed before it was ready: {exc}"))
        elif not self._leaving:
            self.counts.problems["connection lost"] += 1

    def data_received(self, data: bytes) -> None:
        """Take what the server sent."""
        now = time.perf_counter_ns()
        stanzas, self._rest = split(self._rest + data)
        before = self._received
        for name, text in stanzas:
            self._received += self._managed and name in _STANZAS
            if name == b"message":
                self._message(text, now)
            elif name == b"a":
                self._acked(text, now)
            elif name == b"r":
                self._acknowledge()
            elif not self._ready.done():
                self._advance(name, text)
            elif name not in {b"presence", b"iq"}:
                self.counts.problems[name.decode()] += 1
        if self._received != before:
            self._moved()

    def _message(self, text: bytes, now: int) -> None:
        sender, said = _FROM.search(text), _BODY.search(text)
        if text.find(b"type='error'", 0, text.find(b">")) >= 0 or sender is None or said is None:
            self.counts.problems["message without body or with an error"] += 1
            return
        found = self._book.find(payload(said[1]))
        if found is not None:
            ledger, number = found
            ledger.deliver(number, sender[1].decode(), self.account.username, now)

    def _acked(self, text: bytes, now: int) -> None:
        matched = _HANDLED.search(text)
        handled = int(matched[1]) if matched else 0
        while self._handled < handled and self._unacked:
            self._ledger.accept(self._unacked.popleft(), now)
            self._handled += 1
        self._asking = bool(self._unacked)
        if self._asking:
            self._transport.write(_ASK)
        self._moved()

    def _acknowledge(self) -> None:
        self.counts.acks += 1
        self._transport.write(f"<a xmlns='urn:xmpp:sm:3' h='{self._received}'/>".encode())

    # --- signing in -------------------------------------------------------------------------------

    def _advance(self, name: bytes, text: bytes) -> None:
        if name in {b"failure", b"stream:error", b"failed"} or (name == b"iq" and b"type='error'" in text):
            self._ready.set_exception(ConnectionError(text.decode()))
            return
        try:
            self._steps.send(name)
        except StopIteration:
            self._ready.set_result(None)

    def _sign_in(self) -> "Steps":
        """Walk through the sign-in; each ``yield`` waits for the next element of the server."""
        user = self.account.username
        yield from _until(b"stream:features")
        if not self.account.token:
            # A token says that the account is there already: there are none in XMPP.
            self._transport.write(_register(user))
            yield from _until(b"iq")
        secret = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        self._transport.write(auth.encode())
        yield from _until(b"success")
        self._transport.write(_STREAM)
        yield from _until(b"stream:features")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind>"
        self._transport.write(f"<iq type='set' id='bind'>{bind}</iq>".encode())
        yield from _until(b"iq")
        # Both sides count stanzas from `enabled` on, so nothing but messages comes after it.
        self._transport.write(b"<presence/>")
        yield from _until(b"presence")
        self._transport.write(b"<enable xmlns='urn:xmpp:sm:3'/>")
        yield from _until(b"enabled")
        self._managed = True


def _until(wanted: bytes) -> Steps:
    while (yield) != wanted:
        pass


def _register(user: str) -> bytes:
    query = f"<username>{user}</username><password>{PASSWORD}</password>"
    return (f"<iq type='set' id='register'><query xmlns='jabber:iq:register'>{query}</query></iq>").encode()
