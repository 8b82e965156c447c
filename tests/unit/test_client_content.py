"""Envelopes of messages, and names of files that others chose."""

import base64
import unicodedata
from itertools import islice
from pathlib import PurePosixPath, PureWindowsPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client import MessageReceived
from roost.client.content import (
    MAX_CONTENT,
    Attachment,
    Delete,
    Edit,
    FileReference,
    Known,
    Reaction,
    ReadUpTo,
    Text,
    Timer,
    Unknown,
    encode,
    from_members,
    line_of,
    read,
    to_members,
)
from roost.client.filenames import numbered, safe_name

ID = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"
FILE = FileReference("m" * 43, b"k" * 32, b"d" * 32, 5, "a.png", "image/png")
MARK = b"\xffroost\x01"
KISS = "\U0001f469\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fb"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"

_text = st.text(max_size=99)
_ids = st.uuids(version=4).map(lambda each: f"{str(each)[:14]}7{str(each)[15:]}")
_maybe_ids = st.none() | _ids
_sides = st.none() | st.integers(1, 65_535)
_files = st.builds(
    FileReference,
    st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**53 - 1),
    st.text(max_size=60),
    st.text(max_size=60),
    _sides,
    _sides,
    st.none() | st.binary(max_size=99).map(lambda rest: b"\xff\xd8\xff" + rest),
)
CONTENT = st.one_of(
    st.builds(Text, _text, _maybe_ids),
    st.builds(Attachment, _files, st.none() | _text, _maybe_ids),
    st.builds(Reaction, _ids, st.sampled_from(["", "👍", KISS, WALES, "ok"])),
    st.builds(Edit, _ids, _text),
    st.builds(Delete, _ids),
    st.builds(Timer, st.none() | st.integers(1, 28 * 24 * 3600)),
    st.builds(ReadUpTo, st.from_regex(r"[a-z0-9_.]{3,32}", fullmatch=True), st.integers(0, 2**53 - 1)),
)


@given(CONTENT)
def test_every_kind_comes_back_as_it_was(content: Known) -> None:
    assert read(encode(content)) == content
    assert from_members(msgspec.json.decode(msgspec.json.encode(to_members(content)))) == content
    assert line_of(content) == line_of(read(encode(content)))


def test_members_are_those_of_the_protocol() -> None:
    assert encode(Text("hi")) == b"hi"
    assert encode(Text("hi", ID)) == MARK + b'{"kind":"text","text":"hi","reply_to":"%s"}' % ID.encode()
    assert to_members(Reaction(ID, "👍")) == {"kind": "reaction", "to": ID, "emoji": "👍"}
    assert to_members(Timer(None)) == {"kind": "timer", "expires_in_s": None}
    assert to_members(ReadUpTo("bob", 7)) == {"kind": "read", "peer": "bob", "seq": 7}
    assert to_members(Attachment(FILE)) == {
        "kind": "file",
        "file": {
            "media_id": "m" * 43,
            "key": base64.b64encode(b"k" * 32).decode().rstrip("="),
            "sha256": base64.b64encode(b"d" * 32).decode().rstrip("="),
            "size": 5,
            "name": "a.png",
            "type": "image/png",
        },
    }


def test_more_members_do_no_harm_and_no_key_is_shown() -> None:
    members = to_members(Attachment(FILE))
    members["file"]["blurhash"] = "x"
    assert from_members(members | {"colour": "y", "reply_to": None, "caption": None}) == Attachment(FILE)
    assert "kkkk" not in repr(Attachment(FILE))


@given(st.text())
def test_no_text_is_an_envelope(text: str) -> None:
    assert read(text.encode()) == Text(text)


def test_an_apps_own_bytes_are_text_for_who_expects_text() -> None:
    assert read(b"\x80abc") == Text("\ufffdabc")


def _members(kind: str, **members: object) -> bytes:
    return MARK + msgspec.json.encode({"kind": kind, **members})


def _file(**members: object) -> bytes:
    good = to_members(Attachment(FILE))["file"]
    return _members("file", file=good | members)


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
        (MARK + b'{"kind": ""}', "malformed"),
        (MARK + b'{"kind": "\\u001b[2J"}', "malformed"),
        (MARK + b'{"kind": ["file"]}', "malformed"),
        (MARK + b'{"kind": "' + b"x" * 999 + b'"}', "malformed"),
        (MARK + b'{"kind": "text", "text": "\xff"}', "malformed"),
        (MARK + b'{"kind": "text", "text": "\\ud800"}', "malformed"),
        (b"\xffroost\x01\xef\xbb\xbf" + b'{"kind": "text", "text": "x"}', "malformed"),
        (_members("text", text="x" * MAX_CONTENT), "malformed"),
        (_members("text"), "malformed"),
        (_members("text", text=5), "malformed"),
        (_members("text", text="x", reply_to="y"), "malformed"),
        (_members("text", text="x", reply_to=ID.upper()), "malformed"),
        (_members("file"), "malformed"),
        (_members("file", file=[]), "malformed"),
        (_file(size=-5), "malformed"),
        (_file(size=2**53), "malformed"),
        (_file(size=10**30), "malformed"),
        (_file(size="5"), "malformed"),
        (_file(key="a"), "malformed"),
        (_file(key=5), "malformed"),
        (_file(sha256="YWI"), "malformed"),
        (_file(media_id="../../v1/me"), "malformed"),
        (_file(name="é" * 128), "malformed"),
        (_file(type="x" * 256), "malformed"),
        (_file(width=0), "malformed"),
        (_file(height=65_536), "malformed"),
        (_file(thumbnail=base64.b64encode(b"<svg onload=alert(1)>").decode()), "malformed"),
        (_file(thumbnail=base64.b64encode(b"\xff\xd8\xff" + b"x" * 8190).decode()), "malformed"),
        (_members("reaction", to=ID, emoji="x" * 65), "malformed"),
        (_members("reaction", to=ID, emoji="\u202ex"), "malformed"),
        (_members("reaction", to=ID, emoji="a\nb"), "malformed"),
        (_members("reaction", emoji="x"), "malformed"),
        (_members("edit", of="x", text="y"), "malformed"),
        (_members("delete", of=None), "malformed"),
        (_members("timer"), "malformed"),
        (_members("timer", expires_in_s=0), "malformed"),
        (_members("timer", expires_in_s=28 * 24 * 3600 + 1), "malformed"),
        (_members("timer", expires_in_s=True), "malformed"),
        (_members("read", peer="Bob", seq=1), "malformed"),
        (_members("read", peer="bob", seq=2**53), "malformed"),
    ],
)
def test_what_is_not_known_is_shown_as_such(content: bytes, kind: str) -> None:
    assert read(content) == Unknown(kind)
    shown = MessageReceived("bob", "D", "i", 1, content, 0, 0).text
    assert shown == f"[a message that this version cannot show: {kind}]"


@given(st.binary())
def test_whatever_an_envelope_holds_it_is_read(body: bytes) -> None:
    assert line_of(read(MARK + body))


def test_what_a_reader_would_refuse_is_not_made() -> None:
    with pytest.raises(ValueError, match="UUIDv7"):
        Edit("yesterday's", "x")
    with pytest.raises(ValueError, match="at most 64 bytes"):
        Reaction(ID, "👍" * 17)
    with pytest.raises(ValueError, match="as a file"):
        encode(Text("x" * (MAX_CONTENT + 1)))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (Text("a"), "a"),
        (Attachment(FILE), "[file: a.png, 5 bytes]"),
        (Attachment(FILE, "look"), "[file: a.png, 5 bytes] look"),
        (Reaction(ID, "👍"), "[reaction: 👍]"),
        (Reaction(ID, ""), "[reaction taken back]"),
        (Edit(ID, "b"), "[edited: b]"),
        (Delete(ID), "[deleted a message]"),
        (Timer(60), "[messages disappear after 60 s]"),
        (Timer(None), "[messages no longer disappear]"),
        (ReadUpTo("bob", 7), "[read on another device: bob]"),
    ],
)
def test_each_kind_is_a_line_for_who_knows_only_text(content: Known, line: str) -> None:
    assert line_of(content) == line


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
