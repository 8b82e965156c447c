import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.consumers.fcm_answers import Answer, judge, read_answer
from cluster.consumers.provider import Again, PushRefused, Retries, Sent, Unregistered, Verdict

RETRIES = Retries(20, 1.0, 60.0)


def fcm_error(status: int, word: str, code: str | None) -> bytes:
    details = (
        [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    )
    return json.dumps(
        {"error": {"code": status, "message": "text", "status": word, "details": details}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "verdict"),
    [
        (200, {}, b'{"name": "projects/p/messages/1"}', Sent()),
        (404, {}, fcm_error(404, "NOT_FOUND", "UNREGISTERED"), Unregistered()),
        (404, {}, fcm_error(404, "NOT_FOUND", None), PushRefused("404  text")),
        (404, {}, b"<html>no such project</html>", PushRefused("404  <html>no such project</html>")),
        (
            400,
            {},
            fcm_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
            PushRefused("400 INVALID_ARGUMENT text"),
        ),
        (
            403,
            {},
            fcm_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
            PushRefused("403 SENDER_ID_MISMATCH text"),
        ),
        (401, {}, fcm_error(401, "UNAUTHENTICATED", None), Again(None, "401  text")),
        (
            429,
            {"Retry-After": "7"},
            fcm_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            Again(7.0, "429 QUOTA_EXCEEDED text"),
        ),
        (503, {}, fcm_error(503, "UNAVAILABLE", "UNAVAILABLE"), Again(None, "503 UNAVAILABLE text")),
        (500, {"Retry-After": "soon"}, b"[]", Again(None, "500  []")),
        (503, {}, b'{"error": "\x80"}', Again(None, '503  {"error": "\ufffd"}')),
    ],
)
def test_the_meaning_of_each_answer(
    status: int, headers: dict[str, str], body: bytes, verdict: Verdict
) -> None:
    assert judge(read_answer(status, headers, body)) == verdict


def test_no_answer_means_send_again() -> None:
    assert judge(Answer(0, text="ClientConnectorError")) == Again(None, "0  ClientConnectorError")


@given(st.binary(), st.integers(100, 599))
def test_no_server_response_breaks_it(body: bytes, status: int) -> None:
    judge(read_answer(status, {}, body))


@given(st.integers(1, 40), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 3600)))
def test_a_pause_is_never_shorter_than_advised_and_never_without_bound(
    tried: int, fraction: float, advised: float | None
) -> None:
    pause = RETRIES.pause_s(tried, advised, fraction)
    assert (advised or 0.0) <= pause <= (advised or 0.0) + 60.0


def test_pauses_double_up_to_a_maximum() -> None:
    assert [RETRIES.pause_s(tried, None, 1.0) for tried in (1, 2, 3, 7, 8)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert RETRIES.pause_s(5, None, 0.0) == 0.0
