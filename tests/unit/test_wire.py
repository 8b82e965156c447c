"""Frames and entries survive both encodings; malformed ones are ``ValueError``, never anything else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost import wire
from roost.client.effects import Opaque
from roost.client.transport import decode_entries
from roost.wire import CODECS, JSON, MSGPACK

TEXT = st.text(max_size=20)
SEQ = st.integers(0, 2**53 - 1)
PAYLOADS = st.dictionaries(TEXT, st.binary(max_size=50), max_size=3)

CLIENT = st.one_of(
    st.builds(wire.Hello, TEXT | st.none(), SEQ | st.none(), st.booleans()),
    st.builds(
        wire.Send, TEXT, TEXT, SEQ, TEXT, PAYLOADS, st.booleans(), st.integers(0, 999) | st.none(),
        PAYLOADS | st.none(), st.booleans(),
    ),
    st.builds(wire.Ack, SEQ),
    st.builds(wire.Read, TEXT, SEQ),
    st.builds(wire.Typing, TEXT, st.sampled_from(["typing", "paused"])),
    st.builds(wire.Subscribe, st.lists(TEXT, max_size=3)),
    st.builds(wire.Ping),
    st.builds(wire.Auth, TEXT),
)  # fmt: skip
LISTS = st.lists(TEXT, max_size=3) | st.none()
SERVER = st.one_of(
    st.builds(wire.Ready, TEXT, SEQ, SEQ),
    st.builds(wire.Drained, SEQ, SEQ),
    st.builds(wire.Accepted, TEXT, SEQ, SEQ),
    st.builds(wire.Rejected, TEXT, TEXT, TEXT, st.floats(0, 60) | st.none(), LISTS, LISTS, LISTS, LISTS),
    st.builds(wire.Presence, TEXT, st.sampled_from(["online", "offline"]), SEQ | st.none()),
    st.builds(wire.Pong, SEQ),
    st.builds(wire.TokenExpiring, st.integers(0, 600)),
    st.builds(wire.Missed),
    st.builds(wire.Bye, TEXT, SEQ),
    st.builds(wire.Problem, TEXT, TEXT, TEXT, st.floats(0, 60) | st.none()),
)
ENTRIES = st.one_of(
    st.builds(
        wire.MessageEntry, SEQ, SEQ, SEQ, TEXT, TEXT, TEXT, SEQ, SEQ, TEXT, st.binary(max_size=50),
        st.none() | SEQ, st.booleans(),
    ),
    st.builds(wire.ReceiptEntry, SEQ, SEQ, SEQ, TEXT, SEQ, SEQ),
    st.builds(wire.KeysEntry, SEQ, SEQ, SEQ, TEXT, TEXT, st.sampled_from(["added", "removed", "changed"])),
    st.builds(
        wire.SentEntry, SEQ, SEQ, SEQ, TEXT, TEXT, TEXT, SEQ, SEQ, SEQ, TEXT,
        st.none() | st.binary(max_size=50), st.none() | SEQ, st.booleans(),
    ),
)  # fmt: skip
BOTH = pytest.mark.parametrize("codec", [CODECS[JSON], CODECS[MSGPACK]], ids=["json", "msgpack"])


@BOTH
@given(CLIENT)
def test_client_frames_survive(codec: wire.Codec, frame: wire.ClientFrame) -> None:
    assert codec.decode_client(codec.encode(frame)) == frame


@BOTH
@given(SERVER)
def test_server_frames_survive(codec: wire.Codec, frame: wire.ServerFrame) -> None:
    assert codec.decode_server(codec.encode(frame)) == frame


@BOTH
@given(st.lists(ENTRIES, max_size=4))
def test_entries_survive(codec: wire.Codec, entries: list[wire.Entry]) -> None:
    raws = [msgspec.Raw(msgspec.msgpack.encode(entry)) for entry in entries]
    frame = codec.decode_server(codec.encode(wire.Entries(raws)))
    assert isinstance(frame, wire.Entries)
    assert [codec.decode_entry(raw) for raw in frame.entries] == entries


@BOTH
@given(st.binary(max_size=200))
def test_noise_is_a_value_error(codec: wire.Codec, data: bytes) -> None:
    for decode in (codec.decode_client, codec.decode_server):
        try:
            decode(data)
        except ValueError:
            continue


@pytest.mark.attack("break the parser of frames", "typed decoders; whatever else is one error")
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"type":"nonsense"}',
        '{"type":"ack"}',
        '{"type":"ack","seq":"1"}',
        '{"type":"typing","peer":"bob","state":"asleep"}',
        '{"type":"send","id":"","to":"","sent_at_ms":0,"suite":"","payloads":{"A":"!"}}',
        '{"type":"send","id":"","to":"","sent_at_ms":0,"suite":"","payloads":[]}',
        "[]",
        "null",
    ],
)
def test_malformed_frames_are_value_errors(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        CODECS[JSON].decode_client(text.encode())


def test_unknown_fields_are_ignored() -> None:
    data = b'{"type":"ack","seq":7,"later":{"a":[1]}}'
    assert CODECS[JSON].decode_client(data) == wire.Ack(7)


def test_the_contracts_json_form() -> None:
    frame = wire.Send("id", "bob", 5, "sealed.v1", {"PHONE": b"\xff\xfe"})
    sent = msgspec.json.decode(CODECS[JSON].encode(frame))
    assert sent["type"] == "send"
    assert sent["payloads"] == {"PHONE": "//4"}
    entry = wire.MessageEntry(2, 1, 0, "id", "alice", "DEV", 0, 0, "sealed.v1", b"\x00")
    raw = msgspec.Raw(msgspec.msgpack.encode(entry))
    made = msgspec.json.decode(CODECS[JSON].encode(wire.Entries([raw])))["entries"][0]
    assert (made["type"], made["from"], made["payload"]) == ("message", "alice", "AA")


@given(st.binary())
def test_base64_with_and_without_padding(data: bytes) -> None:
    text = wire.unpadded(data)
    assert "=" not in text
    assert wire.from_base64(text) == wire.from_base64(text + "=" * (-len(text) % 4)) == data


@pytest.mark.parametrize("text", ["A", "====", "A-_A", "AA AA", "é"])
def test_other_text_is_not_base64(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        wire.from_base64(text)


@BOTH
def test_an_entry_of_a_later_kind_keeps_its_place(codec: wire.Codec) -> None:
    fields = {"type": "poll", "seq": 9, "prev": 4}
    raw = codec_raw(codec, fields)
    assert decode_entries(codec, [raw]).entries == [Opaque(9, 4, "poll")]
    with pytest.raises(ValueError, match="number"):
        decode_entries(codec, [codec_raw(codec, {"type": "poll"})])


def codec_raw(codec: wire.Codec, fields: dict[str, object]) -> msgspec.Raw:
    return msgspec.Raw((msgspec.json if codec.text else msgspec.msgpack).encode(fields))
