"""The registry of codes: unique, and what its numbers promise."""

import pytest

from roost.codes import CODES, Code
from roost.errors import RoostError, Unavailable

ALL = list(CODES.values())


@pytest.mark.parametrize("code", ALL, ids=lambda code: code.word)
def test_each_code_is_well_formed(code: Code) -> None:
    assert CODES[code.word] is code
    assert code.word == code.word.lower()
    assert code.word.replace("_", "").isalpha()
    assert 400 <= code.status <= 599
    assert code.title.endswith(".")


@pytest.mark.parametrize(
    "code", [code for code in ALL if code.close and code.retry != "after_fix"], ids=lambda code: code.word
)
def test_a_close_codes_range_says_whether_to_reconnect(code: Code) -> None:
    assert code.close is not None
    assert 4000 <= code.close <= 4999
    assert (code.close < 4500) is (code.retry == "later")


def test_close_codes_are_unique() -> None:
    closes = [code.close for code in ALL if code.close]
    assert len(closes) == len(set(closes))


@pytest.mark.parametrize(
    ("word", "close"),
    [("displaced", 4409), ("bad_frame", 4500), ("unauthenticated", 4600), ("revoked", 4601)],
)
def test_the_contracts_close_codes(word: str, close: int) -> None:
    assert CODES[word].close == close


def test_server_errors_may_be_tried_again() -> None:
    assert all(code.retry == "later" for code in ALL if code.status >= 500)


def test_an_error_carries_its_code() -> None:
    error = RoostError("device_mismatch", "They differ.", missing=["A"], extra=[])
    assert (error.code.status, error.extra, str(error)) == (
        409,
        {"missing": ["A"], "extra": []},
        "They differ.",
    )
    assert Unavailable("Away.").retry_after_s == 1.0
    with pytest.raises(KeyError):
        RoostError("no_such_word", "x")
