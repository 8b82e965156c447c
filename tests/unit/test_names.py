"""Names of people and devices, as people write them and as tricksters do."""

# ruff: noqa: RUF001 -- letters that look like others are what this is about

import pytest
from pydantic import ValidationError

from api.http.schemas.accounts import LogIn, NewAccount, ProfileChange
from api.identity.names import nickname

GOOD = [
    ("Alice L.", "Alice L."),
    ("  Alice   L. ", "Alice L."),
    ("Alice\N{NO-BREAK SPACE}L", "Alice L"),
    ("日本\N{IDEOGRAPHIC SPACE}語", "日本 語"),
    ("Ａlice", "Alice"),
    ("e\N{COMBINING ACUTE ACCENT}", "é"),
    ("مح\N{ZERO WIDTH NON-JOINER}مد", "مح\N{ZERO WIDTH NON-JOINER}مد"),
    ("שלום Bob", "שלום Bob"),
    ("Ελένη", "Ελένη"),
    ("O'Brien-Smith (work)", "O'Brien-Smith (work)"),
    ("Bob <b>", "Bob <b>"),
    ("👍🏽", "👍🏽"),
    ("❤️ Eve", "❤️ Eve"),
    ("👨‍👩‍👧", "👨‍👩‍👧"),
    ("🏳️‍🌈", "🏳️‍🌈"),
    ("1️⃣ Bob", "1️⃣ Bob"),
    ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"),
]

BAD = [
    "",
    " ",
    "\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}",
    "a\0b",
    "a\nb",
    "a\r",
    "a\tb",
    "\x1b[31mred",
    "\x9b31mred",
    "a\x7f",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "a\N{LEFT-TO-RIGHT ISOLATE}b",
    "\N{RIGHT-TO-LEFT MARK}",
    "\N{ZERO WIDTH SPACE}",
    "Al\N{ZERO WIDTH SPACE}ice",
    "\N{ZERO WIDTH JOINER}",
    "a\N{ZERO WIDTH JOINER}b",
    "\N{WORD JOINER}",
    "\N{SOFT HYPHEN}",
    "Al\N{SOFT HYPHEN}ice",
    "\N{HANGUL FILLER}",
    "\N{HALFWIDTH HANGUL FILLER}",
    "\N{BRAILLE PATTERN BLANK}",
    "\N{BRAILLE PATTERN BLANK} \N{BRAILLE PATTERN BLANK}",
    "\N{VARIATION SELECTOR-16}",
    "👩\N{ZERO WIDTH JOINER}\N{ZERO WIDTH JOINER}",
    "\N{LINE SEPARATOR}",
    "a\N{PARAGRAPH SEPARATOR}b",
    "\N{ZERO WIDTH NO-BREAK SPACE}Bob",
    "\ue000",
    "\ufffe",
    "\N{TAG LATIN SMALL LETTER A}",
]


@pytest.mark.parametrize(("text", "kept"), GOOD)
def test_what_people_write_is_kept(text: str, kept: str) -> None:
    assert nickname(text) == kept
    assert nickname(kept) == kept


@pytest.mark.attack(
    "take a name that cannot be seen or that turns what stands beside it",
    "the Nickname profile of PRECIS",
)
@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"visible|can be seen"):
        nickname(text)


@pytest.mark.parametrize("text", ["a\nb", "\N{ZERO WIDTH SPACE}"], ids=ascii)
def test_every_name_is_looked_at(text: str) -> None:
    account = {"username": "alice", "password": "correct horse battery"}
    with pytest.raises(ValidationError, match="display_name"):
        NewAccount.model_validate(account | {"display_name": text})
    with pytest.raises(ValidationError, match="display_name"):
        ProfileChange.model_validate({"display_name": text})
    with pytest.raises(ValidationError, match=r"device\.name"):
        LogIn.model_validate(account | {"device": {"name": text}})
    for field in ("phone", "email"):
        with pytest.raises(ValidationError, match=field):
            NewAccount.model_validate(account | {field: text})


def test_a_device_need_not_have_a_name() -> None:
    body = LogIn.model_validate({"username": "alice", "password": "x", "device": {}})
    assert body.device is not None
    assert body.device.name == ""
