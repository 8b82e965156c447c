"""Every parser of bytes from outside, each as a function that takes any bytes at all.

A target returns whatever the bytes are, and lets through what no caller of the parser expects. What breaks
one is kept in `BREAKERS`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from fastapi import Request
from nacl.signing import SigningKey

from actors.rpc import messages as msg
from actors.rpc.handshake import Greeting, Handshake, HandshakeFailed
from actors.rpc.link import Link
from api.identity.client_address import TrustedProxies
from api.identity.key_validation import validate_device_keys, validate_one_time_keys
from api.identity.names import nickname
from api.identity.tokens import Principal, Tokens
from api.media import check_metadata
from api.media.ranges import asked
from api.routes import tus
from api.routes.mailbox import _position
from api.stream import actions as do
from api.stream.session import StreamSession
from cluster.consumers.provider import Again
from cluster.consumers.webpush.answers import WAIT_MOST_S, judge
from roost import wire
from roost.client import content
from roost.crypto.keys import DeviceSecrets
from roost.crypto.sealed import Heading, Undecryptable, open_sealed, seal
from roost.errors import RoostError
from roost.ids import fold_username, parse_address, uuid7_ms
from roost.signing import verify_device_keys
from sim.deterministic.facts import Violation
from storage import records
from storage.keyring import KeyRing, SealBroken, fresh_secrets
from storage.push_services import PushServices
from storage.subscriptions import SubscriptionKeys
from tests.unit.link_ends import Silent
from tests.unit.test_intake import OneShard

LOOP: Final = asyncio.new_event_loop()
NOW: Final = 1_795_000_000_000
RING: Final = KeyRing(fresh_secrets(NOW))
ALICE: Final = DeviceSecrets(b"a" * 32, b"b" * 32)
TOKENS: Final = Tokens(RING, "example.org", 600, lambda: NOW)
MESSAGE_ID: Final = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"
HEADING: Final = Heading("@alice:here", "ALICEPHONE", "@alice:here", MESSAGE_ID, NOW)
SUBSCRIPTION: Final = SubscriptionKeys(b"\x04" + b"p" * 64, b"a" * 16, "v1")

_msgpack: Final = msgspec.msgpack.encode
_deep: Final = b"\x91" * 5_000
BREAKERS: Final = (
    b"", b"\x00", b"\xc1", b"\xff" * 9, b"[" * 5_000, b'{"a":' * 3_000, b'"\\ud800"', b"1e999", b"9" * 5_000,
    _deep, b"\x81\xa1x" * 3_000, b'{"type":"ack","seq":1,"x":' + b"[" * 5_000,
    b"\x83\xa4type\xa3ack\xa3seq\x01\xa1x" + _deep + b"\x01",
    b"\xdc\x00\x20\xa8greeting\x01\x01\xa1a\xa1b\xc4\x01n\xc4\x01x" + _deep,
    b"\xdc\x00\x20\xa5proof\xc4\x01x" + _deep,
    b"\xdc\x00\x20\xa1r\xa1t\xa1c\xa1p\xa1n\x01\x01\x01\x01" + _deep,
    b"\xdc\x00\x20\xa1u\xa1d\xa1c\x01\xc3\x01" + _deep,
    b"\xdd\x7f\xff\xff\xff", b"\xdf\x7f\xff\xff\xff", b"\xc6\x7f\xff\xff\xff",
)  # fmt: skip
"""What broke a parser once, and what might: depth, and lengths that are not there."""


def _alice() -> Principal:
    return Principal("u", "alice", "ALICEPHONE", "f", NOW + 600_000, ())


def _stream(codec: wire.Codec) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        for known in (True, False):
            session = StreamSession(codec, lambda _: _alice(), lambda *_: 0.0, now_ms=NOW, spread_ms=0)
            if known:
                session.receive(codec.encode(wire.Hello("t")), NOW)
            actions = session.receive(data, NOW)
            assert not session.closed or isinstance(actions[-1], do.Shut)

    return take


def link_handshake(data: bytes) -> None:
    """Of each side of a link."""
    for me in (None, ("gateway", "g")):
        with contextlib.suppress(HandshakeFailed):
            Handshake(b"secret", me).take(data)


def link_frames(data: bytes) -> None:
    """Of a side that has proved itself."""
    LOOP.run_until_complete(_on_a_link(data))


async def _on_a_link(data: bytes) -> None:
    for decode in (msg.decode_to_host, msg.decode_from_host):
        link = Link(Silent(), decode, b"secret", None)
        link._open = True
        link.data_received(len(data).to_bytes(4, "big") + data)


def log_records(data: bytes) -> None:
    """Out of the log, as a router brings them to a host: what is none is kept for the operator."""
    shard = OneShard()
    try:
        shard.host.received(shard.router, [msg.Batch([msg.Part(0, [0], [data])])])
    except Violation as exc:
        if "poison" not in str(exc):  # what a deterministic run never has
            raise


@contextlib.contextmanager
def refused_with(*words: str) -> Iterator[None]:
    """Take a refusal that has one of these words."""
    try:
        yield
    except RoostError as exc:
        if exc.code.word not in words:
            raise


def access_token(data: bytes) -> None:
    """In a header or a hello."""
    with refused_with("unauthenticated"):
        TOKENS.verify(data.decode(errors="surrogateescape"))


def refresh_token(data: bytes) -> None:
    """As the log-in gave it: none follows on what is none, and one that follows is of the same family."""
    token = data.decode(errors="replace")
    with contextlib.suppress(ValueError):
        _, family, secret = RING.derive_refresh(token).split(".")
        assert token == f"rr1.{family}.{token.rpartition('.')[2]}"
        assert secret not in token


def uploaded_keys(data: bytes) -> None:
    """As JSON that was parsed before."""
    try:
        keys = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(keys, dict):
        return
    signing = bytes(SigningKey(b"b" * 32).verify_key)
    for check in (
        lambda: validate_device_keys(keys, "@alice:here", "ALICEPHONE"),
        lambda: validate_one_time_keys(keys, "@alice:here", "ALICEPHONE", signing),
    ):
        with refused_with("invalid", "invalid_signature", "too_large"):
            check()
    with contextlib.suppress(ValueError):
        verify_device_keys(keys, "@alice:here", "ALICEPHONE")


def payload(data: bytes) -> None:
    """Sealed to this device, and what is inside one."""
    for each in (data, seal(data, HEADING, ALICE, ALICE.curve25519_public)):
        try:
            open_sealed(each, HEADING, ALICE, ALICE.public("@alice:here", "ALICEPHONE"))
        except Undecryptable:
            assert each is data


def message_content(data: bytes) -> None:
    """Opened, as its sender wrote it: what is understood can be said again."""
    found = content.read(data)
    assert isinstance(content.line_of(found), str)
    if not isinstance(found, content.Unknown) and data.startswith(b"\xff"):
        assert content.from_members(content.to_members(found)) == found


def sealed_field(data: bytes) -> None:
    """Out of the store."""
    with contextlib.suppress(SealBroken):
        RING.unseal("users", "u", "phone", data)


def cursor(data: bytes) -> None:
    """Of a sync."""
    with refused_with("cursor_invalid"):
        assert (_position(data.decode(errors="replace")) or 0) < 2**53


def names(data: bytes) -> None:
    """Of people, users, messages, addresses, and values in base64."""
    text = data.decode(errors="surrogateescape")
    for parse in (nickname, fold_username, parse_address, uuid7_ms, wire.from_base64):
        with contextlib.suppress(ValueError):
            parse(text)


def forwarded(data: bytes) -> None:
    """What a proxy says of a client's address."""
    for header in ("x-forwarded-for", "forwarded"):
        proxies = TrustedProxies(["10.0.0.0/8"], header)  # type: ignore[arg-type]
        assert proxies.client_of("10.0.0.1", [(header.encode(), data)])


def byte_range(data: bytes) -> None:
    """Of a file."""
    for size in (0, 1, 1_000):
        with refused_with("range_not_satisfiable"):
            span = asked(data.decode("latin-1"), size)
            assert span is None or 0 <= span.begin < span.end <= size


def tus_heads(data: bytes) -> None:
    """Of a resumable upload."""
    text = data.decode("latin-1")
    request = Request(
        {"type": "http", "method": "PATCH", "headers": [(b"upload-length", data), (b"tus-resumable", data)]}
    )
    for read in (lambda: tus._number(request, "upload-length"), lambda: check_metadata(text)):
        with refused_with("bad_request"):
            read()
    with refused_with("tus_version"):
        tus._check_version(request)


def push_subscription(data: bytes) -> None:
    """From a client, out of the store, and what a push service says to it."""
    text = data.decode(errors="surrogateescape")
    for read in (
        lambda: PushServices(("*",)).of(text),
        lambda: SubscriptionKeys.given(text, text, "v"),
        lambda: SubscriptionKeys.kept(text),
    ):
        with contextlib.suppress(ValueError):
            read()
    judged = judge(503, {"Retry-After": text}, text)
    assert isinstance(judged, Again)
    assert 0 <= (judged.after_s or 0) <= WAIT_MOST_S


_JSON, _MSGPACK = wire.CODECS[wire.JSON], wire.CODECS[wire.MSGPACK]
_FRAMES = (
    wire.Hello("t", 7), wire.Send("i", "bob", NOW, "sealed.v1", {"D": b"x" * 30}), wire.Ack(1),
    wire.Read("bob", 1), wire.Typing("bob", "typing"), wire.Subscribe(["bob"]), wire.Ping(), wire.Auth("t"),
)  # fmt: skip
_RECORDS = (
    records.MessageRecord("u", "c", "s", "n", "D", 1, 2, "sealed.v1", {"P": b"x" * 20}),
    records.ReceiptRecord("u", "c", "p", "n", 1, 1, 1),
    records.KeysRecord("u", "c", "v", "n", "D", "added", 1),
    records.SentRecord("u", "c", "D", "p", "n", 1, 1, 1),
)
_BUNDLE = {
    "user_id": "@alice:here",
    "device_id": "ALICEPHONE",
    "algorithms": ["a"],
    "keys": {},
    "signatures": {},
}

TARGETS: Final[dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]]] = {
    "frames_json": (_stream(_JSON), tuple(map(_JSON.encode, _FRAMES))),
    "frames_msgpack": (_stream(_MSGPACK), tuple(map(_MSGPACK.encode, _FRAMES))),
    "link_handshake": (link_handshake, (_msgpack(Greeting(1, 1, "gateway", "g", b"n" * 16, b"x" * 32)),)),
    "link_frames": (
        link_frames,
        (_msgpack([msg.Ack(1, 1), msg.Detach(1)]), _msgpack([msg.Backlogs([], {})])),
    ),
    "log_records": (log_records, tuple(map(records.encode_record, _RECORDS))),
    "access_token": (access_token, (TOKENS.issue(_alice()).encode(),)),
    "refresh_token": (refresh_token, (b"rr1.family.secret",)),
    "uploaded_keys": (uploaded_keys, (msgspec.json.encode(_BUNDLE), b'{"signed_curve25519:A":{"key":"x"}}')),
    "payload": (payload, (seal(b"hello", HEADING, ALICE, ALICE.curve25519_public),)),
    "message_content": (
        message_content,
        tuple(
            map(
                content.encode,
                (
                    content.Text("hi", MESSAGE_ID),
                    content.Attachment(content.FileReference("m" * 43, b"k" * 32, b"d" * 32, 5, "a.png")),
                    content.Reaction(MESSAGE_ID, "👍"),
                    content.Timer(60),
                    content.ReadUpTo("bob", 7),
                ),
            )
        ),
    ),
    "sealed_field": (sealed_field, (RING.seal("users", "u", "phone", "4670"),)),
    "cursor": (cursor, (b"0", b"4294967301", b"9007199254740991")),
    "names": (names, (b"Alice", b"@alice:here", b"0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00", b"AAEC")),
    "byte_range": (byte_range, (b"bytes=0-499", b"bytes=-500", b"bytes=9500-", b"bytes=0-0,-1")),
    "tus_heads": (tus_heads, (b"1.0.0", b"1000", b"filename d29ybGQ=,is_confidential")),
    "push_subscription": (
        push_subscription,
        (b"https://push.example.org/wpush/v2/gAAA?x=%2F", b"120", SUBSCRIPTION.text.encode()),
    ),
    "forwarded": (forwarded, (b"192.0.2.7, 10.0.0.1", b'for="[2001:db8::7]:443";proto=https, for=10.0.0.2')),
}
"""Each target with inputs to begin from."""
