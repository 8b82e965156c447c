"""Which passwords are taken, and when two of them are the same."""

# ruff: noqa: RUF001 -- letters that look like others are what this is about

import asyncio
import unicodedata
from collections.abc import Iterator

import pytest

from api.identity.passwords import Passwords
from roost.errors import RoostError


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=1)
    yield made
    made.close()


@pytest.mark.attack("try the most common passwords", "none of them can be chosen")
@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord",
        "12345678",
        "iloveyou",
        "qwertyuiop",
        "ｐａｓｓｗｏｒｄ",
        "margaret.h",
        "Margaret.HMargaret.h",
    ],
)
def test_what_is_tried_first_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(RoostError, match="tried first"):
        passwords.check_new(password, "margaret.h")


@pytest.mark.attack("make a short password long by combining marks", "its length is that of its normal form")
@pytest.mark.parametrize("password", ["e\N{COMBINING ACUTE ACCENT}" * 7, "\N{LATIN SMALL LETTER E}" * 7])
def test_length_counts_in_the_normal_form(passwords: Passwords, password: str) -> None:
    with pytest.raises(RoostError, match="8 characters"):
        passwords.check_new(password, "margaret.h")


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "a password", "пароль для всех", "margaret.h is my name", "👩‍👧 and me"],
)
def test_others_are_taken(passwords: Passwords, password: str) -> None:
    passwords.check_new(password, "margaret.h")


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_password_is_the_same_in_every_form(passwords: Passwords, form: str) -> None:
    """Keyboards differ: an iPhone writes é as one character, another system as two."""

    async def matches() -> bool:
        stored = await passwords.hash("crème brûlée ½ Å", "127.0.0.1")
        typed = unicodedata.normalize(form, "crème brûlée ½ Å")  # type: ignore[arg-type]
        return await passwords.verify(stored, typed, "127.0.0.1") and not await passwords.verify(
            stored, "creme brulee", "127.0.0.1"
        )

    assert asyncio.run(matches())
