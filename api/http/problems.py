"""Errors as RFC 9457 ``application/problem+json``, and their description in OpenAPI."""

import math
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.http.examples import ERRORS
from roost.codes import CODES, Code
from roost.errors import RoostError

MEDIA_TYPE = "application/problem+json"

_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}
_ERRORS_SHOWN = 8


def problem_body(error: RoostError, request_id: str) -> dict[str, Any]:
    """Return the problem document."""
    body: dict[str, Any] = {
        "type": f"urn:roost:problem:{error.code.word}",
        "title": error.code.title,
        "status": error.code.status,
        "code": error.code.word,
        "detail": error.detail,
        **error.extra,
    }
    if error.retry_after_s is not None:
        body["retry_after_s"] = error.retry_after_s
    body["request_id"] = request_id
    return body


def problem_response(error: RoostError, request_id: str) -> Response:
    """Answer with the problem document."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.code.status == CODES["unauthenticated"].status:
        headers["WWW-Authenticate"] = "Bearer"
    content = msgspec.json.encode(problem_body(error, request_id))
    return Response(content, error.code.status, headers, MEDIA_TYPE)


def from_validation(error: RequestValidationError) -> RoostError:
    """Tell malformed JSON from a field of the wrong form; values are never repeated, they may be secrets."""
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        return RoostError("bad_request", "The body is not valid JSON.")
    fields = [
        {"field": ".".join(str(part) for part in each["loc"]), "message": str(each["msg"])}
        for each in errors[:_ERRORS_SHOWN]
    ]
    first = fields[0] if fields else {"field": "body", "message": "is not valid"}
    return RoostError("invalid", f"{first['field']}: {first['message']}.", errors=fields)


def from_http(error: HTTPException) -> RoostError:
    """Put the framework's own errors into the registry's words."""
    word = _BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")  # noqa: PLR2004
    details = {
        "not_found": "This address does not exist.",
        "method_not_allowed": "This address does not support this method.",
        "bad_request": "The body is not valid JSON.",
    }
    return RoostError(word, details.get(word, str(error.detail)))


def request_id_of(request: Request) -> str:
    """Return the request's id, which the outermost layer made."""
    return str(request.scope.get("request_id", ""))


def responses(*words: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about these codes, and about those that every call can answer."""
    by_status: dict[int, list[Code]] = {}
    for word in dict.fromkeys((*words, "bad_request", "invalid", "too_large", "internal", "unavailable")):
        by_status.setdefault(CODES[word].status, []).append(CODES[word])
    return {status: _response(codes) for status, codes in sorted(by_status.items())}


def _response(codes: list[Code]) -> dict[str, Any]:
    examples = {
        code.word: {
            "value": {
                "type": f"urn:roost:problem:{code.word}",
                "title": code.title,
                "status": code.status,
                "code": code.word,
                **ERRORS.get(code.word, {"detail": code.title}),
                "request_id": "5c1f0e8a9b7d4c3f",
            }
        }
        for code in codes
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}
    return {"description": " ".join(f"`{code.word}`: {code.title}" for code in codes), "content": content}
