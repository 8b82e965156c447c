"""The stream's rules, with no I/O: frames and events in, actions out."""

import msgspec
import pytest

from api.identity.tokens import Principal
from api.stream import actions as do
from api.stream.frames import merged
from api.stream.session import StreamSession
from roost import wire
from roost.errors import RoostError

NOW = 1_795_000_000_000
ALICE = Principal("u-alice", "alice", "ALICEPHONE", "family-1", NOW + 600_000)
TOKENS = {
    "good": ALICE,
    "fresh": Principal("u-alice", "alice", "ALICEPHONE", "family-1", NOW + 1_200_000),
    "bob": Principal("u-bob", "bob", "BOBSPHONE1", "family-2", NOW + 600_000),
    "tablet": Principal("u-alice", "alice", "ALICETABLE", "family-3", NOW + 600_000),
}
ID = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"


def verify(token: str) -> Principal:
    if token == "revoked":
        raise RoostError("revoked", "The session has ended.")
    if token not in TOKENS:
        raise RoostError("unauthenticated", "not valid")
    return TOKENS[token]


class Waits:
    """Says how long to wait, by limiter."""

    def __init__(self) -> None:
        self.by_name: dict[str, float] = {}

    def __call__(self, name: str, _principal: Principal, _now_ms: int) -> float:
        return self.by_name.get(name, 0.0)


def make(codec: str = wire.MSGPACK, by_header: str | None = None) -> tuple[StreamSession, Waits]:
    waits = Waits()
    session = StreamSession(wire.CODECS[codec], verify, waits, now_ms=NOW, spread_ms=7, by_header=by_header)
    return session, waits


def pack(frame: wire.ClientFrame) -> bytes:
    return wire.CODECS[wire.MSGPACK].encode(frame)


def live(cursor: int | None = None, stored: int = 40) -> tuple[StreamSession, Waits]:
    session, waits = make()
    session.receive(pack(wire.Hello("good", cursor)), NOW)
    session.attached(stored, NOW)
    return session, waits


def raw(seq: int) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode({"type": "message", "seq": seq}))


def closes(actions: list[do.Action]) -> tuple[str, int]:
    """Return the words of the bye and the close code; nothing may come after them."""
    bye, shut = actions[-2:]
    assert isinstance(bye, do.Emit)
    assert isinstance(bye.frame, wire.Bye)
    assert isinstance(shut, do.Shut)
    return bye.frame.code, shut.code


def problem(actions: list[do.Action]) -> tuple[str, str]:
    (emit,) = actions
    assert isinstance(emit, do.Emit)
    assert isinstance(emit.frame, wire.Problem)
    return emit.frame.frame, emit.frame.code


def test_hello_attaches_at_the_cursor() -> None:
    session, _ = make()
    assert session.receive(pack(wire.Hello("good", 17, background=True)), NOW) == [
        do.Open(ALICE, 17, background=True)
    ]
    assert session.attached(3, NOW + 5) == [do.Emit(wire.Ready("ALICEPHONE", 17, NOW + 5))]


def test_hello_without_cursor_begins_where_the_device_is() -> None:
    session, _ = make()
    assert session.receive(pack(wire.Hello("good")), NOW) == [do.Open(ALICE, None, background=False)]
    assert session.attached(40, NOW) == [do.Emit(wire.Ready("ALICEPHONE", 40, NOW))]
    assert session.position.top == 40


FIRST_FRAMES = [
    (b"", "bad_frame", 4500),
    (b"\xc1", "bad_frame", 4500),
    (b"{}", "bad_frame", 4500),
    (msgspec.msgpack.encode([]), "bad_frame", 4500),
    (msgspec.msgpack.encode({}), "bad_frame", 4500),
    (msgspec.msgpack.encode({"type": "nonsense"}), "bad_frame", 4500),
    (msgspec.msgpack.encode({"type": 7}), "bad_frame", 4500),
    (msgspec.msgpack.encode({"type": "hello", "token": 7}), "bad_frame", 4500),
    (msgspec.msgpack.encode({"type": "hello", "token": "good", "cursor": "1"}), "bad_frame", 4500),
    (msgspec.msgpack.encode({"type": "hello", "token": "good", "cursor": 2**64 - 1}), "cursor_invalid", 4410),
    (msgspec.msgpack.encode({"type": "hello", "token": "good", "later": True}), "opens", 0),
    (b"\x91" * 100_000, "bad_frame", 4500),
    (pack(wire.Ping()), "bad_frame", 4500),
    (pack(wire.Ack(1)), "bad_frame", 4500),
    (pack(wire.Hello(None)), "unauthenticated", 4600),
    (pack(wire.Hello("forged")), "unauthenticated", 4600),
    (pack(wire.Hello("revoked")), "revoked", 4601),
    (pack(wire.Hello("good", -1)), "cursor_invalid", 4410),
]


@pytest.mark.attack(
    "break a stream by its first frame",
    "whatever is no hello with a good token ends the stream",
)
@pytest.mark.parametrize(("data", "word", "code"), FIRST_FRAMES)
def test_first_frame(data: bytes, word: str, code: int) -> None:
    session, _ = make()
    actions = session.receive(data, NOW)
    if word == "opens":
        assert isinstance(actions[0], do.Open)
    else:
        assert closes(actions) == (word, code)
        assert session.receive(pack(wire.Hello("good")), NOW) == []


def test_invalid_json_text() -> None:
    session, _ = make(wire.JSON)
    assert closes(session.receive(b'"\xff"', NOW)) == ("bad_frame", 4500)


def test_wrong_kind_of_message() -> None:
    session, _ = make()
    assert closes(session.malformed("text")) == ("bad_frame", 4500)


@pytest.mark.attack("hold a stream open without a hello", "it has to come within 10 s")
def test_a_late_hello() -> None:
    session, _ = make()
    assert session.tick(NOW + 9_999) == []
    assert closes(session.tick(NOW + 10_000)) == ("unauthenticated", 4600)


def test_header_stands_for_the_hello() -> None:
    session, _ = make(by_header="good")
    assert session.tick(NOW + 1_999) == []
    assert session.tick(NOW + 2_000) == [do.Open(ALICE, None, background=False)]


def test_header_and_hello() -> None:
    session, _ = make(by_header="good")
    assert session.receive(pack(wire.Hello(None, 9)), NOW) == [do.Open(ALICE, 9, background=False)]


def test_header_and_another_frame() -> None:
    session, _ = make(by_header="good")
    actions = session.receive(pack(wire.Ping()), NOW)
    assert actions == [do.Open(ALICE, None, background=False), do.Emit(wire.Pong(NOW))]


@pytest.mark.attack(
    "open a stream with a header's token after its session ended",
    "the token is verified when it is used",
)
@pytest.mark.parametrize(
    "data", [None, pack(wire.Hello(None, 9)), pack(wire.Ping()), pack(wire.Ack(1)), pack(wire.Subscribe([]))]
)
@pytest.mark.parametrize("token", ["revoked", "expired"])
def test_a_header_is_verified_when_the_stream_opens(data: bytes | None, token: str) -> None:
    """The session may have ended while the socket was silent; see `api.stream.registry`."""
    session, _ = make(by_header=token)
    actions = session.tick(NOW + 2_000) if data is None else session.receive(data, NOW)
    assert closes(actions) == {"revoked": ("revoked", 4601), "expired": ("unauthenticated", 4600)}[token]
    assert session.login.principal is None


@pytest.mark.attack("change who speaks on a stream by a second hello", "hello is taken once")
def test_second_hello() -> None:
    session, _ = live()
    assert closes(session.receive(pack(wire.Hello("good")), NOW)) == ("bad_frame", 4500)


def test_send_and_its_answers() -> None:
    session, _ = live()
    frame = wire.Send(ID, "bob", NOW, "sealed.v1", {"BOBSPHONE1": b"x"})
    assert session.receive(pack(frame), NOW) == [do.Submit(frame)]
    assert session.answered(ID, 5, NOW) == [do.Emit(wire.Accepted(ID, 5, NOW))]
    error = RoostError("device_mismatch", "d", missing=["A"], extra=["B"])
    refusal = wire.Rejected(ID, "device_mismatch", "d", None, ["A"], ["B"])
    assert session.refused(ID, error) == [do.Emit(refusal)]


@pytest.mark.attack("send without end on one stream", "the limiter of the device's messages")
def test_send_over_the_limit() -> None:
    session, waits = live()
    waits.by_name["sends"] = 1.5
    frame = wire.Send(ID, "bob", NOW, "sealed.v1", {})
    (emit,) = session.receive(pack(frame), NOW)
    assert emit == do.Emit(wire.Rejected(ID, "rate_limited", "Too many messages from this device.", 1.5))


@pytest.mark.attack("send other frames without end", "the limiters of requests and typing")
@pytest.mark.parametrize(
    ("limiter", "frame", "word"),
    [
        ("typing", wire.Typing("bob", "typing"), ("typing", "rate_limited")),
        ("requests", wire.Read("bob", 1), ("read", "rate_limited")),
        ("requests", wire.Subscribe(["bob"]), ("subscribe", "rate_limited")),
    ],
)
def test_other_limits(limiter: str, frame: wire.ClientFrame, word: tuple[str, str]) -> None:
    session, waits = live()
    waits.by_name[limiter] = 0.2
    assert problem(session.receive(pack(frame), NOW)) == word


@pytest.mark.attack("acknowledge what was never sent on the stream", "the stream knows what went down")
def test_acks() -> None:
    session, _ = live(cursor=10)
    assert session.deliver([raw(11), raw(15)], 15) == [do.Emit(wire.Entries([raw(11), raw(15)]))]
    assert problem(session.receive(pack(wire.Ack(16)), NOW)) == ("ack", "cursor_invalid")
    assert problem(session.receive(pack(wire.Ack(-1)), NOW)) == ("ack", "cursor_invalid")
    assert session.receive(pack(wire.Ack(15)), NOW) == [do.Acknowledge(15)]
    assert session.receive(pack(wire.Ack(11)), NOW) == []
    assert session.position.acked == 15


def test_nothing_comes_before_ready() -> None:
    session, _ = make()
    session.receive(pack(wire.Hello("good", 10)), NOW)
    assert session.deliver([raw(11)], 11) == []
    assert session.drained(11, 11) == []
    assert session.missed() == []
    assert session.attached(10, NOW) == [do.Emit(wire.Ready(session.login.principal.device, 10, NOW))]
    assert session.deliver([raw(11)], 11) == [do.Emit(wire.Entries([raw(11)]))]


def test_resume_repeats_nothing() -> None:
    session, _ = live(cursor=10)
    session.deliver([raw(11)], 11)
    assert session.attached(3, NOW) == []
    assert session.deliver([raw(11)], 11) == []
    assert session.deliver([raw(12)], 12) == [do.Emit(wire.Entries([raw(12)]))]
    assert session.drained(12, 12) == [do.Emit(wire.Drained(12, 12))]
    assert session.drained(12, 12) == []
    assert session.drained(12, 15) == [do.Emit(wire.Drained(15, 12))], "a new host goes on from there"


def test_read_typing_subscribe_ping() -> None:
    session, _ = live()
    assert session.receive(pack(wire.Read("bob", 4)), NOW) == [do.MarkRead("bob", 4)]
    assert problem(session.receive(pack(wire.Read("bob", -4)), NOW)) == ("read", "cursor_invalid")
    assert session.receive(pack(wire.Typing("bob", "paused")), NOW) == [do.Type("bob", "paused")]
    assert session.receive(pack(wire.Ping()), NOW + 1) == [do.Emit(wire.Pong(NOW + 1))]
    assert session.receive(pack(wire.Subscribe(["bob"] * 1_000)), NOW) == [do.Follow(["bob"] * 1_000)]


@pytest.mark.attack("subscribe to the presence of ten thousand users", "1,000 at most")
def test_ten_thousand_subscriptions() -> None:
    session, _ = live()
    users = [f"user{number}" for number in range(10_000)]
    assert problem(session.receive(pack(wire.Subscribe(users)), NOW)) == ("subscribe", "too_large")


@pytest.mark.attack("stay on a stream after the token's end", "the stream ends with its token")
def test_an_expired_token() -> None:
    session, _ = live()
    assert session.tick(NOW + 539_999) == []
    assert session.tick(NOW + 540_000) == [do.Emit(wire.TokenExpiring(60))]
    assert session.tick(NOW + 541_000) == []
    assert closes(session.tick(NOW + 600_000)) == ("unauthenticated", 4600)


def test_fresh_token() -> None:
    session, _ = live()
    session.tick(NOW + 540_000)
    assert session.receive(pack(wire.Auth("fresh")), NOW) == [do.Renew(TOKENS["fresh"])]
    assert session.tick(NOW + 600_000) == []
    assert session.tick(NOW + 1_140_000) == [do.Emit(wire.TokenExpiring(60))]


@pytest.mark.attack(
    "go on with a token of another user or device on an open stream",
    "user and device must be the same",
)
@pytest.mark.parametrize("token", ["bob", "tablet"])
def test_a_token_of_another_user(token: str) -> None:
    session, _ = live()
    assert closes(session.receive(pack(wire.Auth(token)), NOW)) == ("forbidden", 4500)


@pytest.mark.attack("renew a stream with a forged or revoked token", "it is verified like the first")
@pytest.mark.parametrize(("token", "word"), [("forged", "unauthenticated"), ("revoked", "revoked")])
def test_bad_fresh_token_leaves_the_stream(token: str, word: str) -> None:
    session, _ = live()
    assert problem(session.receive(pack(wire.Auth(token)), NOW)) == ("auth", word)
    assert not session.closed


@pytest.mark.parametrize(
    ("word", "code", "pause"),
    [
        ("displaced", 4409, 30_007),
        ("going_away", 4000, 1_007),
        ("unavailable", 4001, 1_007),
        ("too_slow", 4408, 1_007),
        ("revoked", 4601, 1_007),
        ("unknown_device", 4500, 1_007),
    ],
)
def test_ends(word: str, code: int, pause: int) -> None:
    session, _ = live()
    actions = session.end(word, "why")
    assert closes(actions) == (word, code)
    assert do.Emit(wire.Bye(word, pause)) in actions


def test_nothing_after_the_end() -> None:
    session, _ = live()
    assert closes(session.revoked()) == ("revoked", 4601)
    assert session.end("displaced", "") == []
    assert session.deliver([raw(99)], 99) == []
    assert session.answered(ID, 1, 1) == []
    assert session.refused(ID, RoostError("internal", "")) == []
    assert session.failed("read", RoostError("internal", "")) == []
    assert session.drained(1, 1) == []
    assert session.missed() == []
    assert session.typing("bob", "typing") == []
    assert session.presence("bob", online=True, last_seen_ms=None) == []
    assert session.attached(1, NOW) == []
    assert session.tick(NOW + 10**9) == []
    assert session.receive(pack(wire.Ping()), NOW) == []


def test_host_events() -> None:
    session, _ = live()
    assert session.missed() == [do.Emit(wire.Missed())]
    assert session.typing("bob", "typing") == [do.Emit(wire.Typing("bob", "typing"))]
    shown = session.presence("bob", online=False, last_seen_ms=3)
    assert shown == [do.Emit(wire.Presence("bob", "offline", 3))]
    assert problem(session.failed("read", RoostError("unknown_user", "d"))) == ("read", "unknown_user")


def test_neighbouring_entries_leave_as_one_frame() -> None:
    pong = wire.Pong(1)
    frames = list(
        merged([wire.Entries([raw(1)]), wire.Entries([raw(2), raw(3)]), pong, wire.Entries([raw(4)])])
    )
    assert frames == [wire.Entries([raw(1), raw(2), raw(3)]), pong, wire.Entries([raw(4)])]


def test_long_frames_are_split() -> None:
    big = msgspec.Raw(msgspec.msgpack.encode(b"x" * 100_000))
    frames = list(merged([wire.Entries([big] * 5)]))
    assert [len(frame.entries) for frame in frames if isinstance(frame, wire.Entries)] == [2, 2, 1]
    small = list(merged([wire.Entries([raw(1)] * 300)]))
    assert [len(frame.entries) for frame in small if isinstance(frame, wire.Entries)] == [256, 44]
