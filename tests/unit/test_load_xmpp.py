"""The light XMPP parser: whole elements only, wherever the bytes were cut."""

import pytest

from benchmarks.client import BODY
from benchmarks.ledger import head
from benchmarks.xmpp import body, payload, split

STREAM = (
    b"<?xml version='1.0'?><stream:stream id='1' from='localhost'>"
    b"<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
    b"<a xmlns='urn:xmpp:sm:3' h='7'/>"
    b"<message from='a@localhost/load' type='chat'><body>6c6f6164</body><stanza-id id='9'/></message>"
    b"<presence/><r xmlns='urn:xmpp:sm:3'/>"
)
NAMES = [b"stream:stream", b"stream:features", b"a", b"message", b"presence", b"r"]


def test_elements_are_split() -> None:
    stanzas, rest = split(STREAM)
    assert [name for name, _ in stanzas] == NAMES
    assert rest == b""
    assert stanzas[3][1].startswith(b"<message from=")
    assert stanzas[3][1].endswith(b"</message>")


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_chunk_boundaries_make_no_difference(size: int) -> None:
    found, rest = [], b""
    for at in range(0, len(STREAM), size):
        stanzas, rest = split(rest + STREAM[at : at + size])
        found += stanzas
    assert found == split(STREAM)[0]
    assert rest == b""


def test_an_incomplete_element_waits() -> None:
    text = b"<r/><message from='a'><body>half"
    assert split(text) == ([(b"r", b"<r/>")], b"<message from='a'><body>half")


def test_the_end_of_the_stream_is_an_element() -> None:
    assert split(b"</stream:stream>") == ([(b"/stream:stream", b"</stream:stream>")], b"")


def test_a_body_is_as_long_as_a_payload_and_names_the_message() -> None:
    text = body(3, 12345)
    assert len(text) == BODY
    assert payload(text.encode()) == head(3, 12345)


def test_a_body_from_another_client_names_no_message() -> None:
    assert payload(b"hello") == b""
