"""The archive that a device hands to one that it links: whom this user knows, and the history.

A stream of JSON objects, one a line, compressed with gzip. It is sent as any file is, sealed under a key of
its own. The first line names it; each other one has a ``type``, and a reader passes over types that it does
not know:

    {"type": "roost.archive", "version": 1, "user": "@alice:server", "made_at_ms": n}
    {"type": "peer", "peer": name, "devices": {id: {curve25519, ed25519, current, confirmed, signed}},
     "identity": {master, self_signing, generation, verified} or null}
    {"type": "message" or "receipt" or "read", ...}        the history, see `roost.client.store.copies`
    {"type": "end", "peers": n, "lines": n}
"""

import gzip
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from roost.client.state import IdentityKeys, Pin, PinnedIdentity, Profile
from roost.ids import fold_username
from roost.signing import read_key
from roost.wire import unpadded

_VERSION: Final = 1
_LINE_MAX: Final = 1024 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Person(Struct):
    """What one device knows of a peer.

    Attributes:
        peer: Username.
        devices: The pinned devices.
        identity: The pinned identity, if there is one.
    """

    peer: str
    devices: dict[str, Pin]
    identity: PinnedIdentity | None = None


class Summary(Struct):
    """How much an archive had.

    Attributes:
        peers: People.
        lines: Lines of the history.
    """

    peers: int = 0
    lines: int = 0


async def write(
    target: IO[bytes],
    profile: Profile,
    address: str,
    at_ms: int,
    history: AsyncIterator[Mapping[str, Any]] | None,
) -> Summary:
    """Write the archive of this profile.

    Args:
        target: Where to.
        profile: Whose.
        address: The user's.
        at_ms: The time.
        history: The lines of the history, if there is one.
    """
    told = Summary()
    with gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as file:

        def put(**members: Any) -> None:
            file.write(_encode(members) + b"\n")

        put(type="roost.archive", version=_VERSION, user=address, made_at_ms=at_ms)
        for person in _people(profile):
            put(**_members(person))
            told.peers += 1
        if history is not None:
            async for line in history:
                put(**line)
                told.lines += 1
        put(type="end", peers=told.peers, lines=told.lines)
    return told


def read(source: IO[bytes], address: str) -> Iterator[Person | Mapping[str, Any] | Summary]:
    """Yield what an archive has: people, then lines of the history, and at the end how many there were to be.

    Raises:
        ValueError: It is not an archive of this user, or is damaged.
    """
    ended = False
    for number, line in enumerate(_lines(source)):
        if number == 0:
            _check_head(line, address)
        elif line.get("type") == "peer":
            yield _person(line)
        elif line.get("type") == "end":
            ended = True
            yield msgspec.convert(line, Summary)
        else:
            yield line
    if not ended:
        raise ValueError("the archive ends early")


def _people(profile: Profile) -> Iterator[Person]:
    for peer, pins in profile.peers.items():
        if peer != profile.username:
            yield Person(peer, pins, profile.identities.get(peer))


def _lines(source: IO[bytes]) -> Iterator[dict[str, Any]]:
    try:
        with gzip.GzipFile(fileobj=source) as file:
            while line := file.readline(_LINE_MAX):
                yield _decode(line)
    except (OSError, EOFError, RecursionError) as exc:
        raise ValueError("the archive is damaged") from exc


def _check_head(line: dict[str, Any], address: str) -> None:
    if (line.get("type"), line.get("version"), line.get("user")) != ("roost.archive", _VERSION, address):
        raise ValueError(f"this is no archive of {address} that this version can read")


def _members(person: Person) -> dict[str, Any]:
    devices = {
        name: {
            "curve25519": unpadded(pin.curve25519),
            "ed25519": unpadded(pin.ed25519),
            "current": pin.current,
            "confirmed": pin.confirmed,
            "signed": pin.signed,
        }
        for name, pin in person.devices.items()
    }
    pinned = person.identity
    known = None if pinned is None or pinned.keys is None else (pinned.keys, pinned.verified)
    identity = known and {
        "master": unpadded(known[0].master),
        "self_signing": unpadded(known[0].self_signing),
        "generation": known[0].generation,
        "verified": known[1],
    }
    return {"type": "peer", "peer": person.peer, "devices": devices, "identity": identity}


class _Device(Struct):
    curve25519: str
    ed25519: str
    current: bool
    confirmed: bool
    signed: bool

    def pin(self) -> Pin:
        keys = read_key(self.curve25519), read_key(self.ed25519)
        return Pin(*keys, current=self.current, confirmed=self.confirmed, signed=self.signed)


class _Identity(Struct):
    master: str
    self_signing: str
    generation: int
    verified: bool

    def pinned(self) -> PinnedIdentity:
        keys = IdentityKeys(read_key(self.master), read_key(self.self_signing), self.generation)
        return PinnedIdentity(keys, verified=self.verified)


class _Person(Struct):
    peer: str
    devices: dict[str, _Device]
    identity: _Identity | None = None


def _person(line: dict[str, Any]) -> Person:
    found = msgspec.convert(line, _Person)
    devices = {name: device.pin() for name, device in found.devices.items()}
    return Person(
        fold_username(found.peer), devices, None if found.identity is None else found.identity.pinned()
    )
