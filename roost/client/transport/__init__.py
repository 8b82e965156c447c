"""How a client reaches its server: authenticated calls, the WebSocket, and long polling instead of it."""

from roost.client.transport.poll import PollTransport, send_body
from roost.client.transport.port import Transport, TransportClosed, decode_entries
from roost.client.transport.stream import StreamTransport

__all__ = [
    "PollTransport",
    "StreamTransport",
    "Transport",
    "TransportClosed",
    "decode_entries",
    "send_body",
]
