"""What the chat that fills the terminal shows, without a terminal."""

from datetime import UTC, date, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from rich.cells import cell_len

from roost.cli.chat.view.connection import ConnectionState
from roost.cli.chat.view.details import details
from roost.cli.chat.view.entries import Day, Entry, entries, summary
from roost.cli.chat.view.harmless import on_screen, shortened
from roost.cli.chat.view.paths import completed, completions, path_of
from roost.cli.chat.view.people import TYPES_MS, People, doubt
from roost.cli.chat.view.typing import TypingTeller
from roost.cli.chat.view.words import day_name, how_long, short_time, size_of, why_unreadable
from roost.cli.shown import line_of_message
from roost.client import Connected, Disconnected, Event, Message, MessageReceived, Presence, Synced, Typing
from roost.client.content import FileReference
from roost.client.state import IdentityKeys, Pin, PinnedIdentity, Profile
from roost.crypto.sealed import Reason
from tests.hard_texts import HARD

NOON = 1_764_417_600_000  # Saturday, 29 November 2025, 12:00 UTC
DAY_MS = 86_400_000


def message(text: str = "hello", *, at_ms: int = NOON, mine: bool = False, **more: object) -> Message:
    members: dict[str, object] = {
        "peer": "bob", "id": "i", "author": "alice" if mine else "bob", "device": "D", "mine": mine,
        "kind": "text", "text": text, "at_ms": at_ms, "sent_at_ms": at_ms,
    }  # fmt: skip
    return Message(**{**members, **more})  # type: ignore[arg-type]


def shown(*messages: Message, quoted: dict[str, Message] | None = None) -> list[Entry]:
    found = entries(messages, quoted or {}, NOON, UTC)
    return [each for each in found if isinstance(each, Entry)]


# --- text of others ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_what_scripts_and_emoji_are_made_of_is_shown(text: str) -> None:
    assert on_screen(text) == text
    assert shown(message(text))[0].body == text


@pytest.mark.attack(
    "turn around what stands beside a message", "each line closes the directions that it opens"
)
@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("\x1b[2J\x07", "\ufffd[2J\ufffd"),
        ("gpj.\u202eexe", "gpj.\ufffdexe"),
        ("\u2067left open", "\u2067left open\u2069"),
        ("\u202bleft open\nnext", "\u202bleft open\u202c\nnext"),
        ("\u2067\u202bboth", "\u2067\u202bboth\u202c\u2069"),
        ("\u2067in\u202bner\u2069 out", "\u2067in\u202bner\u2069 out"),
        ("\u2069\u202c ends of nothing", "\u2069\u202c ends of nothing"),
        ("\u2066\u202c\u2069", "\u2066\u202c\u2069"),
    ],
)
def test_no_text_reaches_beyond_its_place(text: str, harmless: str) -> None:
    assert on_screen(text) == harmless


@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
@pytest.mark.parametrize("cells", [2, 5, 9])
def test_what_is_cut_is_not_cut_within_a_character(text: str, cells: int) -> None:
    kept = shortened(text * 2, cells)
    assert cell_len(kept) <= cells
    begun = kept.rstrip("\u2069\u202c").removesuffix("…")
    assert " ".join((text * 2).split()).startswith(begun)
    assert not begun.endswith("\u200d")


# --- messages -----------------------------------------------------------------------------------------


def test_days_stand_above_their_messages() -> None:
    found = entries([message(at_ms=NOON - DAY_MS), message(at_ms=NOON - 1), message()], {}, NOON, UTC)
    assert [each.name if isinstance(each, Day) else each.time for each in found] == [
        "Yesterday", "12:00", "Today", "11:59", "12:00",
    ]  # fmt: skip


def test_no_two_of_what_is_shown_have_one_key() -> None:
    again = [message(), message(mine=True), message(device="E"), message(id="j", at_ms=NOON + DAY_MS)]
    assert len({each.key for each in entries(again, {}, NOON, UTC)}) == 6


def test_the_day_is_that_of_the_reader() -> None:
    late = entries([message()], {}, NOON, timezone(timedelta(hours=13)))
    assert isinstance(late[1], Entry)
    assert late[1].time == "01:00"


@pytest.mark.parametrize(
    ("state", "ticks"),
    [
        ("sending", "… sending"), ("sent", "✓ sent"), ("delivered", "✓✓ delivered"), ("read", "✓✓ read"),
        ("failed", "✗ not sent: too large"), ("expired", "✗ its time was over before it was delivered"),
    ],
)  # fmt: skip
def test_how_far_a_message_got_is_said_in_words(state: str, ticks: str) -> None:
    entry = shown(message(mine=True, state=state, code="too_large"))[0]
    assert (entry.who, entry.ticks) == ("you", ticks)
    assert shown(message())[0].ticks == ""


FILE = FileReference("m", bytes(32), bytes(32), 1_234_567, name="../\u202eevil.png")


@pytest.mark.parametrize(
    ("told", "body"),
    [
        ({"kind": "file", "text": "look", "file": FILE}, "[file: evil.png, 1.2 MB] look"),
        ({"kind": "timer", "expires_in_s": 3600}, "[messages disappear after 1 hour]"),
        ({"kind": "timer"}, "[messages no longer disappear]"),
        ({"kind": "deleted"}, "[deleted]"),
        ({"kind": "deleted", "state": "expired"}, "[disappeared]"),
        ({"kind": "unknown", "code": "poll"}, "[a message that this version cannot show: poll]"),
        (
            {"kind": "undecryptable", "code": "bad_signature"},
            "[cannot be decrypted: its signature is not the sender's]",
        ),
        ({"kind": "undecryptable", "code": "new_word"}, "[cannot be decrypted: new word]"),
    ],
)
def test_what_is_not_text_is_said(told: dict[str, object], body: str) -> None:
    entry = shown(message(**told))[0]  # type: ignore[arg-type]
    assert (entry.body, entry.plain) == (body, False)


@pytest.mark.parametrize("reason", [*get_args(Reason), "no_copy"])
def test_every_reason_has_a_sentence(reason: str) -> None:
    assert why_unreadable(reason) != why_unreadable("another").replace("another", reason.replace("_", " "))


def test_a_reply_quotes_and_says_when_it_cannot() -> None:
    target = message("how are\nyou \x1b[2J" + "x" * 80, id="t", mine=True)
    answer, lost = shown(message(reply_to="t"), message(reply_to="gone"), quoted={"t": target})
    assert answer.quoted.startswith("you: how are you \ufffd[2J")
    assert answer.quoted.endswith("…")
    assert lost.quoted == "a message that is not here"


def test_reactions_edits_and_the_time_left_are_noted() -> None:
    entry = shown(
        message(reactions={"👍": ["alice", "bob"]}, edited_at_ms=NOON, expires_at_ms=NOON + 7_300_000)
    )[0]
    assert entry.notes == "👍 you, bob · edited · disappears in 2 hours"
    assert shown(message(expires_at_ms=NOON + 61_000))[0].notes == "disappears in 61 seconds"


def test_details_are_harmless_and_complete() -> None:
    told = details(message(mine=True, kind="file", file=FILE, state="read", reactions={"👍": ["bob"]}))
    for part in ("Message   i", "✓✓ read", "evil.png, 1.2 MB", "Reaction  👍  bob", "device D"):
        assert part in told
    assert summary(message("a\nb")) == "bob: a b"


# --- people and the connection ------------------------------------------------------------------------


def test_presence_and_typing_come_and_go() -> None:
    people = People()
    people.take(Presence("bob", "online"), NOON)
    people.take(Typing("bob", "typing"), NOON)
    assert people.told("bob", NOON) == "typing …"
    assert people.told("bob", NOON + TYPES_MS) == "online"
    people.take(Typing("bob", "typing"), NOON)
    people.take(Typing("bob", "paused"), NOON)
    assert people.told("bob", NOON) == "online"
    people.take(Typing("bob", "typing"), NOON)
    people.wrote("bob")
    assert not people.types("bob", NOON)
    people.take(Presence("bob", "offline", NOON - DAY_MS), NOON)
    assert people.told("bob", NOON).startswith("last seen 28 Nov")
    people.take(Presence("bob", "online"), NOON)
    people.forget()
    assert not people.online("bob")
    assert people.told("carol", NOON) == ""


def _profile(pin: Pin, identity: PinnedIdentity | None = None) -> Profile:
    profile = Profile("http://x", "x", "alice", "u", "A", b"", b"", b"")
    profile.peers["bob"] = {"D": pin}
    if identity is not None:
        profile.identities["bob"] = identity
    return profile


KEYS = IdentityKeys(b"m", b"s")


@pytest.mark.parametrize(
    ("pin", "identity", "told"),
    [
        (Pin(b"c", b"e"), None, ""),
        (Pin(b"c", b"e", signed=True), PinnedIdentity(KEYS), ""),
        (Pin(b"c", b"e"), PinnedIdentity(KEYS), "bob HAS NOT CONFIRMED the device D"),
        (Pin(b"c", b"e", current=False), PinnedIdentity(KEYS), ""),
        (Pin(b"c", b"e", offered=(b"x", b"y")), None, "THE KEY OF bob HAS CHANGED"),
        (Pin(b"c", b"e", signed=True), PinnedIdentity(KEYS, offered=KEYS), "bob IS NOT WHO THEY WERE"),
    ],
)
def test_keys_that_are_in_doubt_are_told_as_long_as_they_are(
    pin: Pin, identity: PinnedIdentity | None, told: str
) -> None:
    assert doubt(_profile(pin, identity), "bob").startswith(told)
    assert bool(doubt(_profile(pin, identity), "bob")) is bool(told)


@pytest.mark.parametrize(
    ("event", "up", "words"),
    [
        (Connected(0), True, "connected, fetching"),
        (Synced(0), True, "connected"),
        (Disconnected("going_away"), False, "not connected (going away), trying again"),
        (Disconnected("revoked", final=True), False, "signed out (revoked)"),
        (MessageReceived("bob", "D", "i", 1, b"", 0, 0), True, "connected"),
    ],
)
def test_the_connection_is_always_told(event: Event, up: bool, words: str) -> None:  # noqa: FBT001
    state = ConnectionState()
    assert (state.up, state.words) == (False, "connecting …")
    state.take(Connected(0))
    state.take(event)
    assert state.up is up
    assert state.words.startswith(words)


def test_the_peer_is_told_of_typing_now_and_then() -> None:
    teller = TypingTeller()
    assert not teller.typed("bob", " ", 0)
    assert [teller.typed("bob", "x", now_ms) for now_ms in (1, 2_000, 3_001, 3_002)] == [
        True, False, True, False,
    ]  # fmt: skip
    assert teller.typed("carol", "x", 3_003)
    assert teller.paused(5_000) is None
    assert teller.paused(8_003) == "carol"
    assert teller.paused(99_000) is None
    teller.typed("bob", "x", 100_000)
    teller.sent()
    assert not teller.typed("bob", "more", 100_100)
    teller.sent()
    assert teller.paused(200_000) is None


# --- words and paths ------------------------------------------------------------------------------------


def test_lengths_sizes_and_days_read_well() -> None:
    assert [how_long(each) for each in (1, 90, 3600, 172_800, 604_800)] == [
        "1 second", "90 seconds", "1 hour", "2 days", "1 week",
    ]  # fmt: skip
    assert [size_of(each) for each in (0, 999, 1000, 999_499, 999_600, 12_345_678)] == [
        "0 bytes", "999 bytes", "1.0 kB", "999 kB", "1.0 MB", "12 MB",
    ]  # fmt: skip
    assert day_name(date(2025, 1, 2), date(2025, 11, 29)) == "Thursday, 2 January 2025"
    assert [short_time(each, NOON, UTC) for each in (NOON, NOON - DAY_MS, NOON - 400 * DAY_MS)] == [
        "12:00", "28 Nov", "2024-10-25",
    ]  # fmt: skip


def test_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("photo-1.png", "photo-2.png", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "albums").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert completions("") == ["albums/", "photo-1.png", "photo-2.png"]
    assert completions("ph") == ["photo-1.png", "photo-2.png"]
    assert completions("./.h") == ["./.hidden"]
    assert completions("~/a") == ["~/albums/"]
    assert completions("", folders=True) == ["albums/"]
    assert completed("ph") == "photo-"
    assert completed(f"{tmp_path}/al") == f"{tmp_path}/albums/"
    assert completed("nothing") == "nothing"
    assert completions("\0") == completions("no/such/") == []
    assert path_of(" ~/x ") == tmp_path / "x"
    with pytest.raises(ValueError, match="home"):
        path_of("~no_such_user_at_all/x")


@pytest.mark.attack("break a conversation with a time that no calendar has", "the nearest is shown")
@pytest.mark.parametrize("at_ms", [2**53 - 1, -(2**53) + 1])
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])
def test_a_time_that_no_calendar_has_is_shown_as_the_nearest(at_ms: int, zone: timezone) -> None:
    strange = message(at_ms=at_ms, sent_at_ms=at_ms, expires_at_ms=at_ms, edited_at_ms=at_ms)
    [day, entry] = entries([strange], {}, NOON, zone)
    assert (isinstance(day, Day), isinstance(entry, Entry)) == (True, True)
    assert short_time(at_ms, NOON, zone)
    assert "by their clock" in details(strange)
    assert "hello" in line_of_message(strange, "")
