"""Codes that link devices, answers to them, and archives: what they are, and what is made of forged ones."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from roost.client import archive
from roost.client.core.directory import Directory
from roost.client.state import IdentityKeys, Pin, PinnedIdentity, Profile
from roost.crypto import DeviceSecrets
from roost.crypto.link_code import LIFE_S, LinkCode, open_answer, seal_answer
from roost.signing import DeviceKeys

NEW, OLD, THIEF = (DeviceSecrets.from_random(bytes([n]) * 64) for n in (1, 2, 3))
NOW = 1_790_000_000_000
ENDS = NOW // 1000 + LIFE_S
CODE = LinkCode("alice", "NEWPHONE", NEW.ed25519_public, b"s" * 16, ENDS)
ME = "@alice:here"
WEAK_PIN = (
    b'{"type":"peer","peer":"bob","devices":{"D":{"curve25519":"AAAA","ed25519":"AAAA","current":true,'
    b'"confirmed":true,"signed":true}}}\n'
)


def keys(of: DeviceSecrets, name: str = "OLDPHONE") -> DeviceKeys:
    return of.public(ME, name)


def test_a_code_reads_as_it_was_made() -> None:
    assert LinkCode.parse(f" {CODE}\n") == CODE
    assert len(str(CODE)) < 160
    assert "ssss" not in repr(CODE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "roost:link/1/",
        "roost:link/2/" + str(CODE).removeprefix("roost:link/1/"),
        str(CODE)[:-12],
        str(CODE) + "/x",
        str(CODE).replace("alice", "Alice"),
        str(CODE).replace("alice", "al"),
        str(CODE).replace("NEWPHONE", "NEW PHONE"),
        str(CODE).replace("NEWPHONE", ""),
        str(CODE).replace(str(ENDS), "-1"),
        str(CODE).replace(str(ENDS), "٣"),
        str(CODE).replace(str(ENDS), "9" * 300),
        str(CODE).replace("/c3Nz", "/c3N="),
        str(CODE).replace("/c3Nz", "/日本語"),
        str(CODE)[:60] + "A" + str(CODE)[60:],
    ],
)
def test_a_damaged_code_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"code|username"):
        LinkCode.parse(text)


@pytest.mark.attack(
    "link a device with a code that was photographed earlier", "a code ends after ten minutes"
)
def test_a_code_ends() -> None:
    assert CODE.is_good(NOW)
    assert CODE.is_good(NOW + LIFE_S * 1000 - 1)
    assert not CODE.is_good(NOW + LIFE_S * 1000)
    assert not CODE.is_good(NOW - 2 * LIFE_S * 1000), "no code lives for so long"


def test_an_answer_opens_on_the_new_device() -> None:
    sealed, proof = seal_answer(b"the identity", CODE, keys(NEW, "NEWPHONE"), OLD)
    assert open_answer(sealed, proof, CODE, keys(OLD), NEW) == b"the identity"


@pytest.mark.attack(
    "answer the code of a new device in an old one's place", "who answers has seen the code's secret"
)
def test_an_answer_of_who_did_not_read_the_code_is_refused() -> None:
    guessed = LinkCode("alice", "NEWPHONE", NEW.ed25519_public, b"g" * 16, ENDS)
    sealed, proof = seal_answer(b"x", guessed, keys(NEW, "NEWPHONE"), OLD)
    with pytest.raises(ValueError, match="read the code"):
        open_answer(sealed, proof, CODE, keys(OLD), NEW)


@pytest.mark.attack(
    "pass on or alter the answer to a code", "the proof is of the two devices' keys and of every byte"
)
def test_an_answer_that_was_altered_or_passed_on_is_refused() -> None:
    sealed, proof = seal_answer(b"the identity", CODE, keys(NEW, "NEWPHONE"), OLD)
    flipped = bytes([sealed[0] ^ 1]) + sealed[1:]
    for box, shown, sender, opener in (
        (flipped, proof, OLD, NEW),
        (sealed, proof[:-1] + b"x", OLD, NEW),
        (sealed, proof, THIEF, NEW),
    ):
        with pytest.raises(ValueError, match="read the code"):
            open_answer(box, shown, CODE, keys(sender), opener)


@pytest.mark.attack("read the answer to a code that was photographed", "it is sealed to the new device's key")
def test_an_answer_is_of_no_use_to_who_has_the_code() -> None:
    sealed, proof = seal_answer(b"the identity", CODE, keys(NEW, "NEWPHONE"), OLD)
    assert b"identity" not in sealed
    with pytest.raises(ValueError, match="not sealed to this device"):
        open_answer(sealed, proof, CODE, keys(OLD), THIEF)


def profile() -> Profile:
    made = Profile("http://here", "here", "alice", "id", "OLDPHONE", b"c" * 32, b"e" * 32, b"f" * 32)
    made.peers["alice"] = {"OLDPHONE": Pin(b"1" * 32, b"2" * 32)}
    made.peers["bob"] = {
        "BOBPHONE": Pin(b"3" * 32, b"4" * 32, signed=True),
        "BOBOLD": Pin(b"5" * 32, b"6" * 32, current=False, confirmed=False),
    }
    made.identities["bob"] = PinnedIdentity(IdentityKeys(b"m" * 32, b"s" * 32, 3), verified=True)
    made.peers["carol"] = {"CAROLPHONE": Pin(b"7" * 32, b"8" * 32)}
    return made


def archived(messages: Any = ()) -> bytes:
    async def lines() -> AsyncIterator[dict[str, Any]]:
        for each in messages:
            yield each

    target = io.BytesIO()
    asyncio.run(archive.write(target, profile(), ME, NOW, lines()))
    return target.getvalue()


def test_an_archive_has_people_and_messages() -> None:
    messages = [{"type": "message", "id": f"m{n}", "text": "é" * n} for n in range(100)]
    *found, end = archive.read(io.BytesIO(archived(messages)), ME)
    known = profile()
    assert found[:2] == [
        archive.Person("bob", known.peers["bob"], known.identities["bob"]),
        archive.Person("carol", known.peers["carol"]),
    ]
    assert found[2:] == messages
    assert end == archive.Summary(2, 100)
    assert archived(messages) == archived(messages)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"{",
        b'{"type":"roost.archive","version":2,"user":"@alice:here"}\n{"type":"end"}\n',
        b'{"type":"roost.archive","version":1,"user":"@bob:here"}\n{"type":"end"}\n',
        b'{"type":"roost.archive","version":1,"user":"@alice:here"}\n{"type":"peer"}\n{"type":"end"}\n',
        b'{"type":"roost.archive","version":1,"user":"@alice:here"}\n[]\n',
        b'{"type":"roost.archive","version":1,"user":"@alice:here"}\n' + b"[" * 100_000 + b"\n",
        b'{"type":"roost.archive","version":1,"user":"@alice:here"}\n' + WEAK_PIN + b'{"type":"end"}\n',
    ],
)
def test_what_is_no_archive_is_refused(lines: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(archive.read(io.BytesIO(gzip.compress(lines)), ME))


def test_a_cut_archive_is_refused() -> None:
    whole = archived([{"type": "message", "id": f"m{n}"} for n in range(1000)])
    for cut in (0, 5, len(whole) // 2, len(whole) - 4):
        with pytest.raises(ValueError, match="archive"):
            list(archive.read(io.BytesIO(whole[:cut]), ME))


def test_what_another_own_device_knows_goes_before_what_this_one_was_told() -> None:
    known = profile()
    pins = {
        "bob": {
            "BOBPHONE": Pin(b"X" * 32, b"Y" * 32),
            "GHOST": Pin(b"9" * 32, b"0" * 32),
        }
    }
    lied = {"bob": PinnedIdentity(IdentityKeys(b"x" * 32, b"y" * 32))}
    mine = Directory("here", pins, lied, hold_new=True)
    told = mine.adopt("bob", known.peers["bob"], known.identities["bob"])
    assert [(each.device, each.change, each.held) for each in told] == [
        ("", "identity", True),
        ("BOBPHONE", "changed", True),
        ("GHOST", "added", True),
    ]
    assert mine.in_doubt("bob")
    assert not mine.identities.is_verified("bob")
    assert mine.device("bob", "BOBPHONE") == DeviceKeys("@bob:here", "BOBPHONE", b"3" * 32, b"4" * 32)
    assert mine.adopt("carol", known.peers["carol"], None) == []
    assert mine.recipients("carol") == {"CAROLPHONE": b"7" * 32}
