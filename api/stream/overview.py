"""A gateway as operators see it: connections, and limits. Nothing is gathered while no one asks."""

from collections.abc import Callable, Iterable
from heapq import nlargest
from ipaddress import ip_network
from typing import Any, Final

from msgspec import to_builtins

from api.identity.client_address import parse_address
from api.identity.limits import Limits
from api.stream.registry import Streams
from api.stream.socket import Stream
from roost.clock import Clock
from roost.errors import RoostError

PAIR: Final = "bytes_by_pair"
"""The limiter whose keys are a user's id and to whom."""

_SHOWN: Final = {4: 24, 6: 48}
"""So many bits of an address are shown: the network that it is in, and not whose it is."""


class Overview:
    """Shows the connections of one gateway and what is left of its limits, and closes a connection.

    Args:
        name: The gateway's.
        streams: Its streams.
        limits: What it counts for itself.
        clock: Unix milliseconds.
    """

    def __init__(self, name: str, streams: Streams, limits: Limits, clock: Clock) -> None:
        self._name, self._streams, self._limits, self._clock = name, streams, limits, clock

    def answer(self, message: dict[str, Any]) -> Any:
        """Answer the acts ``connections``, ``close`` and ``limits`` of the coordinator.

        Raises:
            RoostError: ``bad_request``: it is another act.
        """
        match message.get("act"):
            case "connections":
                devices = {tuple(each) for each in message["devices"]}
                return self.connections(message["order"], message["limit"], devices)
            case "close":
                return self.close(message["id"])
            case "limits":
                return self.limits(message["keys"], message["user"])
            case other:
                raise RoostError("bad_request", f"A gateway takes no message {other!r}.")

    def connections(self, order: str, limit: int, devices: set[tuple[Any, ...]]) -> dict[str, Any]:
        """Return the first connections in an order, and those of these devices of users in any case."""
        now = self._clock()
        displaced = list(self._streams.displaced)
        again = {(each.principal.user, each.principal.device) for each in displaced}
        if order == "displaced":
            devices = devices | again
        there = [each for each in self._streams if each.session.login.principal is not None]
        wanted = [each for each in there if _device_of(each) in devices]
        if order != "displaced":
            ranks: dict[str, Callable[[Stream], float]] = {
                "old": lambda each: -each.session.login.opened_ms,
                "big": lambda each: each.queued_bytes,
                "slow": lambda each: each.stuck_ms(now),
            }
            wanted += nlargest(limit, there, key=ranks[order])
        return {
            "connections": [self._row(each, now) for each in dict.fromkeys(wanted)],
            "displaced": [
                {
                    "username": each.principal.username,
                    "device_id": each.principal.device,
                    "at_ms": each.at_ms,
                }
                for each in displaced
            ],
        }

    def close(self, connection: str) -> dict[str, str] | None:
        """Close a connection so that its client comes back; returns whose it was, None if it is gone."""
        for stream in self._streams:
            if self._id(stream) == connection and stream.session.login.principal is not None:
                principal = stream.session.login.principal
                stream.end("going_away", "An operator closed this connection; connect again.")
                return {"username": principal.username, "device_id": principal.device}
        return None

    def limits(self, keys: Iterable[tuple[str, str]], user: str) -> dict[str, Any]:
        """Return what is left here of limiters by their keys, and of the user's pair that has the least."""
        found = [to_builtins(self._limits.left_here(name, key)) for name, key in keys]
        pair = self._limits.lowest_here(PAIR, f"{user} ")
        return {"left": found, "pair": None if pair is None else self._pair(pair)}

    def _pair(self, key: str) -> dict[str, Any]:
        left: dict[str, Any] = to_builtins(self._limits.left_here(PAIR, key))
        return left | {"to": key.partition(" ")[2]}

    def _id(self, stream: Stream) -> str:
        # The number alone would be another connection's after a restart.
        return f"{self._name}:{stream.serial}:{stream.session.login.opened_ms}"

    def _row(self, stream: Stream, now: int) -> dict[str, Any]:
        principal = stream.session.login.principal
        assert principal is not None  # noqa: S101 -- chosen among those that have one
        return {
            "id": self._id(stream),
            "gateway": self._name,
            "user": principal.user,
            "username": principal.username,
            "device_id": principal.device,
            "since_ms": stream.session.login.opened_ms,
            "address_prefix": prefix_of(stream.client),
            "queued_bytes": stream.queued_bytes,
            "stuck_ms": stream.stuck_ms(now),
            "sent": stream.session.position.top,
            "background": stream.session.background,
            "subprotocol": stream.subprotocol,
        }


def prefix_of(client: tuple[str, int] | None) -> str:
    """Return the network of a client's address, '' if it has none."""
    address = parse_address(client[0] if client is not None else None)
    return "" if address is None else str(ip_network((address, _SHOWN[address.version]), strict=False))


def _device_of(stream: Stream) -> tuple[str, str]:
    principal = stream.session.login.principal
    return ("", "") if principal is None else (principal.user, principal.device)
