"""Pure rules of media: ranges, metadata, quotas."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.media import asked, check_metadata
from roost.errors import RoostError
from storage.blob_records import Usage
from storage.blobs.quota import DAY_MS, Quota

QUOTA = Quota(100, 100, 3, 150, 4, 1, 1)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("", None),
        ("bytes", None),
        ("lines=0-1", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=+1-2", None),
        ("bytes=\u0661-\u0662", None),
        ("BYTES = 1-2", (1, 3)),
        ("bytes=0-0", (0, 1)),
        ("bytes=9-", (9, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-999", (0, 10)),
        ("bytes=3-" + "9" * 5000, (3, 10)),
        ("bytes=-" + "9" * 5000, (0, 10)),
    ],
)
def test_ranges(header: str | None, span: tuple[int, int] | None) -> None:
    assert asked(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=0-1,3-4", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_ranges_that_cannot_be_given(header: str) -> None:
    with pytest.raises(RoostError) as refused:
        asked(header, 10)
    assert refused.value.code.word == "range_not_satisfiable"


@given(st.text("bytes=-0123456789, \t", max_size=30).map("bytes={}".format) | st.text(), st.integers(0, 20))
def test_whatever_is_asked_a_range_is_within_the_file(header: str, size: int) -> None:
    try:
        span = asked(header, size)
    except RoostError:
        return
    assert span is None or 0 <= span.begin < span.end <= size


def test_metadata_of_every_client_is_taken() -> None:
    name = base64.b64encode("ü.png".encode()).decode()
    for text in ("", f"filename {name}", f"filename {name},is_confidential", f"a {name}, b {name}", "empty "):
        check_metadata(text)


@given(st.text())
def test_metadata_is_taken_or_refused(text: str) -> None:
    refused: list[str] = []
    try:
        check_metadata(text)
    except RoostError as exc:
        refused.append(exc.code.word)
    assert set(refused) <= {"bad_request"}


def test_a_day_has_room_again_when_its_oldest_go() -> None:
    usage = [Usage(str(at), 40, "gone", at * 1000) for at in range(4)]
    QUOTA.check(usage[:3], 5_000)
    with pytest.raises(RoostError) as refused:
        QUOTA.check(usage, 5_000)  # 160 bytes, of 150
    assert refused.value.retry_after_s == DAY_MS / 1000 - 5
    QUOTA.check(usage, DAY_MS)


@pytest.mark.parametrize("kept", [[60, 60], [1, 1, 1, 1]])
def test_what_a_user_keeps_is_bounded(kept: list[int]) -> None:
    usage = [Usage(str(size), size, "open", 0) for size in kept]
    with pytest.raises(RoostError) as refused:
        QUOTA.check(usage, 2 * DAY_MS)
    assert refused.value.code.word == "media_quota"
