"""Envelopes of messages, and names of files that others chose."""

import unicodedata
from itertools import islice
from pathlib import PurePosixPath, PureWindowsPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client import MessageReceived
from roost.client.content import File, FileReference, Unknown, read
from roost.client.filenames import numbered, safe_name

FILE = FileReference("m" * 43, b"k" * 32, b"d" * 32, 5, "a.png", "image/png")
MARK = b"\xffroost\x01"


def test_a_file_comes_back_and_more_members_do_no_harm() -> None:
    assert read(FILE.encoded()) == FILE
    members = msgspec.json.decode(FILE.encoded()[len(MARK) :])
    members["file"]["thumbnail"] = "x"
    assert read(MARK + msgspec.json.encode(members | {"reply_to": "y"})) == FILE
    assert "kkkk" not in repr(FILE)


@given(st.text())
def test_no_text_is_an_envelope(text: str) -> None:
    assert read(text.encode()) is None


@pytest.mark.attack("a message of an unknown kind, or a malformed one, breaks or deceives its reader")
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xffroost", "newer"),
        (b"\xffroost\x02{}", "newer"),
        (MARK, "malformed"),
        (MARK + b"{}", "malformed"),
        (MARK + b"[" * 60_000, "malformed"),
        (MARK + b'{"kind": "poll", "poll": {}}', "poll"),
        (MARK + b'{"kind": "\\u001b[2J"}', "malformed"),
        (MARK + b'{"kind": ["file"]}', "malformed"),
        (MARK + b'{"kind": "' + b"x" * 999 + b'"}', "malformed"),
        (MARK + b'{"kind": "file"}', "malformed"),
        (FILE.encoded().replace(b'"size":5', b'"size":-5'), "malformed"),
        (FILE.encoded().replace(b'"size":5', b'"size":99999999999999999999'), "malformed"),
        (FILE.encoded().replace(b'"key":"a', b'"key":"'), "malformed"),
    ],
)
def test_what_is_not_known_is_shown_as_such(content: bytes, kind: str) -> None:
    assert read(content) == Unknown(kind)
    shown = MessageReceived("bob", "D", "i", 1, content, 0, 0, unknown=kind).text
    assert shown == f"[a message that this version cannot show: {kind}]"


@given(st.binary())
def test_whatever_an_envelope_holds_it_is_read(body: bytes) -> None:
    assert isinstance(read(MARK + body), FileReference | Unknown)


def test_a_file_is_a_line_of_text_for_who_knows_no_files() -> None:
    async def never(*_: object) -> None: ...

    file = File(FILE, never)  # type: ignore[arg-type]
    assert MessageReceived("bob", "D", "i", 1, b"", 0, 0, file=file).text == "[file: a.png, 5 bytes]"


@pytest.mark.attack("a file's name leads out of the folder, names a device, or deceives about its kind")
@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Grüße 2026.pdf", "Grüße 2026.pdf"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\x.dll", "x.dll"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("~root", "root"),
        ("a\0b\n.txt", "ab.txt"),
        ("CON", "file-CON"),
        ("nul.txt", "file-nul.txt"),
        ("com1 .log", "file-com1 .log"),
        ("x.txt:stream", "x.txtstream"),
        ("trailing. . ", "trailing"),
        ("exe\u202egpj.exe", "exegpj.exe"),
        ("a\u200b\u2066b.txt", "ab.txt"),
        ("\ud800x", "x"),
    ],
)
def test_names_are_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text())
def test_any_name_stays_in_its_folder(name: str) -> None:
    safe = safe_name(name)
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind("folder") / safe
        assert path.parent == kind("folder")
        assert path.name == safe
    assert 0 < len(safe.encode()) <= 255
    assert not any(unicodedata.category(char)[0] == "C" for char in safe)
    assert safe[0] not in ".-~"


def test_a_long_name_keeps_its_ending_and_numbers_come_before_it() -> None:
    assert safe_name("ü" * 500 + ".pdf").endswith("ü.pdf")
    assert list(islice(numbered("a.tar.gz"), 3)) == ["a.tar.gz", "a.tar (2).gz", "a.tar (3).gz"]
