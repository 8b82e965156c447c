"""The ways to the server: authenticated calls, the WebSocket, and long polling in its place."""

from roost.client.transport.poll import PollTransport, send_body
from roost.client.transport.port import SESSION_OVER, Transport, TransportClosed, decode_entries
from roost.client.transport.stream import StreamTransport

__all__ = [
    "SESSION_OVER",
    "PollTransport",
    "StreamTransport",
    "Transport",
    "TransportClosed",
    "decode_entries",
    "send_body",
]
