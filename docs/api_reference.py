"""The page ``api.md``: every call of the API document, with an example and its errors."""

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap
from types import SimpleNamespace
from typing import Any, cast

from api.app import fastapi_app
from api.collaborators import ApiSettings

_TITLES = {
    "accounts": "Accounts and sessions",
    "keys": "Keys",
    "messages": "Messages",
    "media": "Files",
    "admin": "Operators",
    "system": "The system",
}
_BEGINNING = """\
# The HTTP API

Every call, with an example of what is sent and answered. `GET /openapi.json` of a running system has every
field, and `GET /docs` shows it. [Codes](codes.md) says what each error means; every call may also answer
{every}.

Calls go to the address of the server: `http://127.0.0.1:8080` after `make up`. What is sent says that it is
JSON, and all calls but those marked *without a token* say who calls, with the `access_token` of a log-in:

```console
$ curl -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/accounts \\
    -d '{{"username": "alice", "password": "correct horse battery"}}'
$ curl -H 'Authorization: Bearer eyJ...' http://127.0.0.1:8080/v1/me
```

[http_api.sh](../examples/http_api.sh) does all that a message needs, with curl. `@bob:example.org` is the
address of bob: his name and the server's (`ROOST_SERVER_NAME`; `localhost` unless it is set). Binary values
are base64 without padding, times Unix milliseconds.

Live delivery is the WebSocket `GET /v1/stream`, and uploads that go on after a break are tus 1.0 at
`/v1/media/uploads`: see [protocol](protocol.md). The [tutorial for builders](tutorial-bot.md) begins with
a bot.

An error is a document like this, with `Content-Type: application/problem+json`:"""
_OF_EVERY_CALL = ("bad_request", "invalid", "too_large", "unsupported_media_type", "internal", "unavailable")


def document() -> dict[str, Any]:
    """Return the API document, as a server without any settings of its own gives it."""
    collaborators = SimpleNamespace(settings=ApiSettings("example.org", 600, 2_592_000))
    return fastapi_app(cast("Any", collaborators)).openapi()


def page() -> str:
    """Return the page."""
    found = document()
    every = ", ".join(f"`{word}`" for word in _OF_EVERY_CALL)
    lines = [*_BEGINNING.format(every=every).splitlines(), "", *_block(_problem(found, "rate_limited"))]
    before = ""
    for path, method, operation in _operations(found):
        tag = operation.get("tags", ["system"])[0]
        if tag != before:
            lines += ["", f"## {_TITLES.get(tag, tag.capitalize())}"]
            before = tag
        lines += ["", *_operation(found, path, method, operation)]
    return "\n".join(lines) + "\n"


def _operations(found: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the calls, those of one tag together."""
    every = [(path, method, each) for path, calls in found["paths"].items() for method, each in calls.items()]
    tags = list(dict.fromkeys(each.get("tags", ["system"])[0] for _, _, each in every))
    for tag in tags:
        yield from (each for each in every if each[2].get("tags", ["system"])[0] == tag)


def _operation(
    found: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`"
    yield ""
    yield from str(operation.get("description", "")).splitlines()
    if not operation.get("security"):
        yield ""
        yield "*Without a token.*"
    query = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
    if query:
        yield ""
        yield "Query: " + ", ".join(f"`{each['name']}={each.get('example', '')}`" for each in query) + "."
    body = _example(operation.get("requestBody", {}))
    if body is not None:
        yield ""
        yield "Sends"
        yield ""
        yield from _block(body)
        yield from _left_out(found, operation["requestBody"])
    for status, answer in operation["responses"].items():
        if status < "400":
            yield ""
            yield from _answer(status, _example(answer))
    words = [word for word in _errors(operation) if word not in _OF_EVERY_CALL]
    if words:
        yield ""
        yield from wrap(f"Errors: {', '.join(f'`{word}`' for word in words)}.", 120)


def _left_out(found: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    """Yield which members of a body may be left out, if any."""
    for content in body["content"].values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        schema = found["components"]["schemas"].get(name, {})
        words = [word for word in schema.get("properties", ()) if word not in schema.get("required", ())]
        if words:
            yield ""
            yield from wrap(f"May be left out: {', '.join(f'`{word}`' for word in words)}.", 120)


def _answer(status: str, example: Any) -> Iterator[str]:
    if example is None:
        yield f"Answers `{status}`."
        return
    yield f"Answers `{status}`"
    yield ""
    yield from _block(example)


def _example(part: Mapping[str, Any]) -> Any:
    for content in part.get("content", {}).values():
        if "example" in content:
            return content["example"]
        return next(iter(content["examples"].values()))["value"]
    return None


def _errors(operation: Mapping[str, Any]) -> list[str]:
    return [
        word
        for status, answer in operation["responses"].items()
        if status >= "400"
        for content in answer.get("content", {}).values()
        for word in content.get("examples", {})
    ]


def _problem(found: Mapping[str, Any], wanted: str) -> Any:
    for _, _, operation in _operations(found):
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                if wanted in content.get("examples", {}):
                    return content["examples"][wanted]["value"]
    raise KeyError(wanted)


def _block(example: Any) -> list[str]:
    if isinstance(example, str):
        return ["```text", example, "```"]
    return ["```json", *json.dumps(example, indent=2, ensure_ascii=False).splitlines(), "```"]
