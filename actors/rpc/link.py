"""A link: an ordered, authenticated stream of messages between two roles.

One TCP connection, encrypted where nodes have certificates; frames are a 4-byte big-endian length and a
MessagePack list of messages. Both sides prove themselves before either takes the first one.
Everything sent in one turn of the event loop leaves as one frame, so a busy link carries few,
well filled frames and a quiet one adds no delay; only what is not urgent waits for company.
A link never resends: when it breaks, both sides are told, and what was in flight is made good by
those who know how (the router replays from the committed offset, a gateway attaches its streams
again, a question fails).
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Protocol, cast

import structlog

from actors.rpc.handshake import Handshake, HandshakeFailed, LinkSecret, Message
from actors.rpc.messages import encode
from roost.node_certificate import NodeCertificate, is_node

MAX_LINK_FRAME = 256 * 1024 * 1024
"""Bytes; a longer frame ends the link, since no role sends one."""

MAX_GREETING = 4 * 1024
"""Bytes; who has proved nothing yet may not make us hold more."""

GREETING_S = 5.0
"""Who connects has to greet within this time, and before that to end the handshake of TLS within it."""

_TLS_END_S = 2.0
"""How long the other side may take to end TLS in order when a link is closed."""

HIGH_WATER = 8 * 1024 * 1024
"""Bytes waiting in the socket above which `Link.congested` is true."""

SOON_S = 0.05
"""`Link.send_soon` waits this long for something to go with."""

SOON_MANY = 16
"""So many messages are company enough."""

_LENGTH = struct.Struct(">I")

log = structlog.get_logger()


class Handler(Protocol):
    """What a role does with its links."""

    def opened(self, link: "Link") -> None:
        """The handshake is done."""
        ...

    def received(self, link: "Link", messages: list[Any]) -> None:
        """One frame arrived."""
        ...

    def closed(self, link: "Link") -> None:
        """The link is gone; nothing more can be sent on it."""
        ...


class Link(asyncio.Protocol):
    """One end of a connection. Made by `connect` and `serve`.

    Attributes:
        role: The other side's role, known once opened.
        name: The other side's name.
        protocol: The newest version that both sides speak, once opened.
    """

    def __init__(
        self,
        handler: Handler,
        decode: Callable[[bytes], list[Any]],
        secret: LinkSecret,
        me: tuple[str, str] | None,
    ) -> None:
        self._handler = handler
        self._decode = decode
        self._secret, self._me = secret, me
        self._handshake: Handshake
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._outgoing: list[Any] = []
        self._flushing = False
        self._later: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._open = self._broken = False
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.role = ""
        self.name = ""
        self.protocol = 0

    def __repr__(self) -> str:
        return f"{self.role} {self.name}"

    # --- sending ---

    def send(self, message: Any) -> None:
        """Send a message at the end of this turn of the event loop; dropped when the link is gone."""
        self._outgoing.append(message)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def send_soon(self, message: Any) -> None:
        """Send a message that is not urgent: with the next, with many of its kind, or after `SOON_S`."""
        if len(self._outgoing) >= SOON_MANY:
            self.send(message)
            return
        self._outgoing.append(message)
        if self._later is None:
            self._later = self._loop.call_later(SOON_S, self._flush)

    @property
    def congested(self) -> bool:
        """Whether the other side reads slower than we write."""
        return self._transport is not None and self._transport.get_write_buffer_size() > HIGH_WATER

    @property
    def alive(self) -> bool:
        """Whether the handshake is done and the connection stands."""
        return self._open

    def close(self) -> None:
        """Close after what is waiting has been written."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def refuse(self, why: str) -> None:
        """Break off: the other side sent what it may not."""
        self._abort(why)

    def _flush(self) -> None:
        self._flushing = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        messages, self._outgoing = self._outgoing, []
        if messages and self._open and self._transport is not None:
            body = encode(messages)
            self._transport.write(_LENGTH.pack(len(body)) + body)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake: the side that listens speaks first."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        connection = b""
        if (encrypted := transport.get_extra_info("ssl_object")) is not None:
            if not is_node(encrypted):
                self._abort("a certificate that is not one of a node")
                return
            connection = encrypted.get_channel_binding("tls-unique")
        self._handshake = Handshake(self._secret, self._me, connection)
        if (opening := self._handshake.opening()) is not None:
            self._write(opening)
            # `connect` has a time limit of its own.
            self._deadline = self._loop.call_later(GREETING_S, self._abort, "no greeting in time")

    def data_received(self, data: bytes) -> None:
        """Take frames off the buffer as they become whole."""
        if self._broken:
            return  # what comes until the connection is gone
        self._buffer += data
        start, size = 0, len(self._buffer)
        while size - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > (MAX_LINK_FRAME if self._open else MAX_GREETING):
                self._abort(f"a frame of {length} bytes")
                return
            if size - start < _LENGTH.size + length:
                break
            body = bytes(memoryview(self._buffer)[start + _LENGTH.size : start + _LENGTH.size + length])
            start += _LENGTH.size + length
            self._frame(body)
        if start:
            del self._buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the handler once, whatever the reason."""
        was_open, self._open = self._open, False
        self._transport, self._broken = None, True
        self._greeted()
        if not self.opened.done():
            reason = f": {exc}" if exc is not None else ""
            self.opened.set_exception(ConnectionError(f"the link was closed during the handshake{reason}"))
            self.opened.exception()
        if was_open:
            self._handler.closed(self)

    # --- frames and handshake ---

    def _frame(self, body: bytes) -> None:
        if self._broken:
            return
        if not self._open:
            self._begin(body)
            return
        try:
            messages = self._decode(body)
        except (ValueError, RecursionError) as exc:
            self._abort(f"a frame that cannot be decoded: {exc}")
            return
        self._handler.received(self, messages)

    def _begin(self, body: bytes) -> None:
        """Take a message of the other side's handshake."""
        try:
            answer = self._handshake.take(body)
        except HandshakeFailed as exc:
            self._abort(str(exc))
            return
        if answer is not None:
            self._write(answer)
        if not self._handshake.done:
            return
        self.role, self.name = self._handshake.role, self._handshake.name
        self.protocol = self._handshake.protocol
        self._open = True
        self._greeted()
        if not self.opened.done():
            self.opened.set_result(None)
        self._handler.opened(self)

    def _greeted(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _write(self, first: Message) -> None:
        body = encode(first)
        if self._transport is not None:
            self._transport.write(_LENGTH.pack(len(body)) + body)

    def _abort(self, why: str) -> None:
        self._broken = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"the other side sent {why}"))
            self.opened.exception()
        if self._transport is not None:
            peer = self._transport.get_extra_info("peername")
            log.warning("link_refused", address=peer, peer_role=self.role, peer=self.name, sent=why)
            self._transport.abort()


async def connect(
    address: tuple[str, int],
    handler: Handler,
    decode: Callable[[bytes], list[Any]],
    *,
    secret: LinkSecret,
    me: tuple[str, str],
    certificate: NodeCertificate | None = None,
    timeout_s: float = 3.0,
) -> Link:
    """Connect to a role and introduce ourselves as ``me`` (role, name).

    Args:
        address: Where it listens; with a certificate, the other side's must be for this IP address.
        handler: Is told what happens on the link.
        decode: Decodes frames.
        secret: The cluster's.
        me: Role and name.
        certificate: This node's: the link is encrypted, or there is none. None: it is not.
        timeout_s: How long all of it may take.

    Raises:
        ConnectionError: Nothing listens there, or the handshake failed.
        OSError: TLS failed (`ssl.SSLError`).
        TimeoutError: No answer in time.
    """
    link = Link(handler, decode, secret, me)
    encrypted: dict[str, Any] = {}
    if certificate is not None:
        encrypted = {
            "ssl": certificate.client(),
            "server_hostname": address[0],
            "ssl_shutdown_timeout": _TLS_END_S,
        }
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().create_connection(lambda: link, *address, **encrypted)
            await link.opened
    except BaseException:
        link.close()  # a host that hangs would keep one connection for each attempt
        raise
    return link


async def serve(
    host: str,
    port: int,
    handler: Handler,
    decode: Callable[[bytes], list[Any]],
    *,
    secret: LinkSecret,
    certificate: NodeCertificate | None = None,
) -> tuple[asyncio.Server, tuple[str, int]]:
    """Listen for links; returns the server and the address it is bound to (``port`` 0: any).

    Args:
        host: IP address to listen on.
        port: TCP port.
        handler: Is told what happens on the links.
        decode: Decodes frames.
        secret: The cluster's.
        certificate: This node's: only encrypted links of other nodes are taken. None: they are not encrypted.
    """
    loop = asyncio.get_running_loop()
    encrypted: dict[str, Any] = {}
    if certificate is not None:
        encrypted = {
            "ssl": certificate.server(),
            "ssl_handshake_timeout": GREETING_S,
            "ssl_shutdown_timeout": _TLS_END_S,
        }
    server = await loop.create_server(lambda: Link(handler, decode, secret, None), host, port, **encrypted)
    bound = server.sockets[0].getsockname()
    return server, (bound[0], bound[1])
