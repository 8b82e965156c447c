"""Limits of size in pairs: what one side lets through, and what the next one takes.

Each row computes both sides out of the constants that the code works with.
"""

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api.http.bodies import BODY_MAX, LONGER
from api.identity.key_validation import KEYS_MAX
from api.identity.tokens import Principal
from api.routes.keys import USERS_MAX
from api.sending.admission import Bounds
from api.sending.send_request import SendRequest
from roost.client import MAX_CONTENT
from roost.client.core.lane import KEEP_MS
from roost.client.shell.inbox import HELD_AT_MOST
from roost.client.shell.requests import PEERS_AT_ONCE
from roost.client.transport import send_body
from roost.client.transport.answers import LARGE
from roost.client.transport.stream import MAX_SERVER_FRAME
from roost.crypto import SUITE, DeviceSecrets, Heading, seal
from roost.ids import MESSAGE_ID_WINDOW_MS, SEQ_LIMIT, address_of, uuid7
from roost.signing import MAX_BUNDLE
from roost.wire import (
    CODECS,
    JSON,
    MAX_DEVICES,
    MAX_EXPIRY_S,
    MAX_FRAME,
    MAX_PAYLOAD,
    MAX_SUBSCRIPTIONS,
    MSGPACK,
    WINDOW,
    Hello,
    MessageEntry,
    Send,
    Subscribe,
    send_size,
    unpadded,
)
from storage.kafka_log.client import MAX_RECORD
from storage.records import MessageRecord, SentRecord, encode_record

NAME = "n" * 32
SERVER = "s" * 255
ADDRESS = address_of(NAME, SERVER)
DEVICE = "D" * 26
ID = uuid7(1_790_000_000_000, bytes(10))
LATEST = SEQ_LIMIT - 1
MONGO_DOCUMENT = 16 * 1024 * 1024
MIB = 1024 * 1024
ALICE = Principal("u", "alice", DEVICE, "f", LATEST)


def longest_payload() -> bytes:
    """What the SDK makes of the longest content, for the longest names."""
    sender, recipient = (DeviceSecrets.from_random(secrets.token_bytes(64)) for _ in range(2))
    heading = Heading(ADDRESS, DEVICE, ADDRESS, ID, LATEST)
    return seal(bytes(MAX_CONTENT), heading, sender, recipient.curve25519_public)


def largest_send(payload: int = MAX_PAYLOAD) -> Send:
    payloads = {f"{number:0>26}": bytes(payload) for number in range(MAX_DEVICES)}
    own = {f"{number:0>26}": bytes(payload) for number in range(MAX_DEVICES - 1)}
    return Send(
        ID, NAME, LATEST, "s" * 32, payloads, urgent=False, expires_in_s=MAX_EXPIRY_S, own=own, silent=True
    )


def largest_record() -> bytes:
    send = largest_send()
    made = MessageRecord(
        to="u" * 36,
        cause=send.id,
        sender="u" * 36,
        sender_name=NAME,
        sender_device=DEVICE,
        sent_at_ms=LATEST,
        accepted_at_ms=LATEST,
        suite=send.suite,
        payloads=send.payloads,
        urgent=False,
        expires_at_ms=LATEST,
        version=1,
        silent=True,
        own=bytes(8),
    )
    return encode_record(made)


def largest_copy() -> bytes:
    send = largest_send()
    made = SentRecord(
        "u" * 36, send.id, DEVICE, "u" * 36, NAME, LATEST, LATEST, LATEST, 1, LATEST, send.suite,
        send.own or {}, silent=True,
    )  # fmt: skip
    return encode_record(made)


def largest_window(encode: Callable[[Any], bytes], payload: Any) -> int:
    entry = MessageEntry(LATEST, LATEST, LATEST, ID, NAME, DEVICE, LATEST, LATEST, "s" * 32, payload)
    return WINDOW * len(encode(entry)) + 64


def key_query(users: int) -> int:
    return len(msgspec.json.encode({"device_keys": {f"{number:0>291}": [] for number in range(users)}}))


FULL = bytes(MAX_PAYLOAD)

PAIRS: dict[str, tuple[Callable[[], int], int]] = {
    "content, sealed -> payload": (lambda: len(longest_payload()), MAX_PAYLOAD),
    "payloads for all devices -> frame in JSON": (
        lambda: len(CODECS[JSON].encode(largest_send())),
        MAX_FRAME,
    ),
    "payloads for all devices -> frame in MessagePack": (
        lambda: len(CODECS[MSGPACK].encode(largest_send())),
        MAX_FRAME,
    ),
    "payloads for all devices -> body": (
        lambda: len(msgspec.json.encode(send_body(largest_send()))),
        LONGER["/v1/messages"],
    ),
    "payloads for all devices -> the SDK's own measure": (
        lambda: send_size(largest_send().payloads, largest_send().own),
        MAX_FRAME,
    ),
    "payloads for all devices -> record": (lambda: len(largest_record()), MAX_RECORD),
    "own copies for all devices -> record": (lambda: len(largest_copy()), MAX_RECORD),
    "record -> document of the store": (lambda: len(largest_record()), MONGO_DOCUMENT // 2),
    "payloads for all devices -> what a gateway admits": (
        lambda: SendRequest(ALICE, largest_send(), print).size,
        Bounds().size // 8,
    ),
    "a window of entries -> frame that the SDK reads, JSON": (
        lambda: largest_window(msgspec.json.encode, unpadded(FULL)),
        MAX_SERVER_FRAME,
    ),
    "a window of entries -> frame that the SDK reads, MessagePack": (
        lambda: largest_window(msgspec.msgpack.encode, FULL),
        MAX_SERVER_FRAME,
    ),
    "messages that wait for keys -> half of the window": (lambda: HELD_AT_MOST, WINDOW // 2),
    "one-time keys of an upload -> body": (
        lambda: KEYS_MAX * (MAX_BUNDLE + 128) + MAX_BUNDLE,
        LONGER["/v1/keys/upload"],
    ),
    "peers of a key query -> users that a query may name": (lambda: PEERS_AT_ONCE, USERS_MAX),
    "peers of a key query -> body": (lambda: key_query(PEERS_AT_ONCE), BODY_MAX),
    "subscriptions -> frame": (
        lambda: len(CODECS[JSON].encode(Subscribe([NAME] * MAX_SUBSCRIPTIONS))),
        MAX_FRAME,
    ),
    "hello -> frame": (lambda: len(CODECS[JSON].encode(Hello("t" * 4096, LATEST))), MAX_FRAME),
    "a small message -> what is never blamed for its size": (
        lambda: send_size({DEVICE: bytes(256 + 48)}),
        LARGE,
    ),
    "the time in which a message is repeated -> the time for which ids are known": (
        lambda: KEEP_MS,
        MESSAGE_ID_WINDOW_MS,
    ),
}


@pytest.mark.parametrize(("needed", "given"), PAIRS.values(), ids=PAIRS)
def test_what_is_let_through_is_taken_by_the_next(needed: Callable[[], int], given: int) -> None:
    assert needed() <= given


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, MAX_PAYLOAD])
def test_the_sdks_measure_is_never_below_the_truth(codec: str, size: int) -> None:
    send = largest_send(size)
    measured = send_size(send.payloads, send.own)
    assert len(CODECS[codec].encode(send)) <= measured
    assert len(msgspec.json.encode(send_body(send))) <= measured


def test_the_suite_is_one_that_the_server_takes() -> None:
    assert len(SUITE) <= 32
