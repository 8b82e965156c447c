"""The examples of the API document: what errors say, and how a call without an example of its own looks.

`tests/unit/test_api_document.py` holds every one of them against its schema.
"""

from collections.abc import Mapping
from typing import Any, Final

from api.http.schemas.base import EXAMPLE_DEVICE, EXAMPLE_ID, EXAMPLE_USER

_AT_MS: Final = 1_795_000_000_000
_SEQ: Final = 4_294_967_301
_BOB: Final = "@bob:example.org"
_KEY: Final = "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs"
_SIGNATURES: Final = {_BOB: {f"ed25519:{EXAMPLE_DEVICE}": "FLWxXqGbwrb8SM3Y795eB6OA8bwBcoMZFXBq"}}

ERRORS: Final[Mapping[str, dict[str, Any]]] = {
    "bad_request": {"detail": "The body is not valid JSON."},
    "invalid": {
        "detail": "body.username: Field required.",
        "errors": [{"field": "body.username", "message": "Field required"}],
    },
    "invalid_signature": {"detail": "device_keys: the signature of this device does not verify."},
    "unauthenticated": {"detail": "The access token has expired; refresh the session."},
    "bad_credentials": {"detail": "The username or password is wrong."},
    "token_reused": {
        "detail": "This refresh token was already used, so the session was ended; log in again."
    },
    "revoked": {"detail": "The session has ended; log in again."},
    "forbidden": {"detail": "This needs a token with the scope admin."},
    "not_found": {"detail": "This address does not exist."},
    "unknown_user": {"detail": "There is no user 'bbo'."},
    "unknown_device": {"detail": "This account has no such device; log in without device_id to add one."},
    "unknown_message": {"detail": "There is no such message from you to this user."},
    "unknown_media": {"detail": "There is no such file; it may have expired."},
    "username_taken": {"detail": "The username 'alice' is taken; choose another."},
    "device_mismatch": {
        "detail": "Ask for the recipient's keys again, and seal for exactly those devices.",
        "missing": [EXAMPLE_DEVICE],
        "extra": [],
    },
    "id_reused": {"detail": "This id was used for another message; make a new one."},
    "id_expired": {
        "detail": "The time in the id is more than 7 days in the past or 5 minutes in the future."
    },
    "cursor_invalid": {
        "detail": "The cursor is not of this mailbox; leave it out to go on from the stored one."
    },
    "key_conflict": {"detail": "This key id was already uploaded with different bytes; use a new id."},
    "identity_exists": {"detail": "The account has another identity; its password replaces it."},
    "offset_mismatch": {"detail": "The upload goes on at offset 1048576."},
    "tus_version": {"detail": "Send the header 'Tus-Resumable: 1.0.0'."},
    "media_quota": {"detail": "At most 10000 files of 1073741824 bytes together are kept: delete some."},
    "too_large": {"detail": "A body may have at most 1048576 bytes."},
    "unsupported_media_type": {"detail": "Send the content type application/octet-stream."},
    "range_not_satisfiable": {"detail": "The file has 2048 bytes."},
    "rate_limited": {"detail": "Too many sends from here; wait 1.500 s.", "retry_after_s": 1.5},
    "mailbox_full": {
        "detail": "The recipient has to fetch earlier messages first; try again later.",
        "retry_after_s": 60.0,
    },
    "internal": {"detail": "Something went wrong; the server's logs have the reason under this request_id."},
    "unavailable": {"detail": "The log does not answer; try again.", "retry_after_s": 1.0},
    "going_away": {"detail": "This server is stopping; connect again.", "retry_after_s": 1.0},
    "too_slow": {"detail": "A body must arrive with at least 1024 bytes a second."},
    "already_retried": {"detail": "This dead letter was written back already; it is tried once."},
}
"""Members of an example of each error, beside those that follow from its code."""

PARAMETERS: Final[Mapping[str, Any]] = {
    "username": "bob",
    "device_id": EXAMPLE_DEVICE,
    "id": EXAMPLE_ID,
    "to": "bob",
    "cursor": "4294967301",
    "before": 4_294_967_301,
    "limit": 50,
    "wait_s": 1,
    "media_id": "q3Wm0yqk1m3yB5n8T7x2oJ4uE6vH9sRdLcPaZfGiKwM",
    "number": 3,
    "name": "host-1",
    "connection_id": "gateway-1:1795000000000:17",
    "letter_id": "mailbox.dead:0:17",
    "GET /admin/v1/dead before": "mailbox.dead:0:17",
}
"""An example of each parameter that has none of its own, by its name."""

MEMBERS: Final[Mapping[str, Any]] = {
    "user_id": EXAMPLE_USER,
    "peer": "bob",
    "application_server_key": "BPmJ0yqk1m3yB5n8T7x2oJ4uE6vH9sRdLcPaZfGiKwMq3W",
    "name": "host-1",
    "role": "host",
    "scopes": "observer",
    "last_seq": _SEQ,
    "delivered_seq": _SEQ,
    "read_seq": _SEQ,
    "at_ms": _AT_MS,
}
"""An example of each member that has none of its own, by its name."""

ANSWERS: Final[Mapping[str, Any]] = {
    "GET /.well-known/jwks.json 200": {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "kid": "t-2026-11",
                "use": "sig",
                "alg": "EdDSA",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }
        ]
    },
    "GET /healthz 200": {"status": "ok"},
    "GET /readyz 503": {
        "ready": False,
        "checks": {"mongo": "ok", "redis": "ok", "log": "away", "hosts": "2/2"},
    },
    "POST /v1/keys/query 200": {
        "device_keys": {
            _BOB: {
                EXAMPLE_DEVICE: {
                    "user_id": _BOB,
                    "device_id": EXAMPLE_DEVICE,
                    "algorithms": ["roost.sealed.v1"],
                    "keys": {f"curve25519:{EXAMPLE_DEVICE}": _KEY, f"ed25519:{EXAMPLE_DEVICE}": _KEY},
                    "signatures": _SIGNATURES,
                }
            }
        },
        "failures": {},
        "master_keys": {},
        "self_signing_keys": {},
    },
    "POST /v1/keys/claim 200": {
        "one_time_keys": {
            _BOB: {EXAMPLE_DEVICE: {"signed_curve25519:AAAAHg": {"key": _KEY, "signatures": _SIGNATURES}}}
        },
        "failures": {},
    },
    "GET /v1/conversations/{username}/messages 200": {
        "messages": [
            {
                "type": "message",
                "seq": _SEQ,
                "prev": _SEQ - 3,
                "at_ms": _AT_MS,
                "id": EXAMPLE_ID,
                "from": "bob",
                "from_device": EXAMPLE_DEVICE,
                "sent_at_ms": _AT_MS,
                "accepted_at_ms": _AT_MS,
                "suite": "sealed.v1",
                "payload": "yv66vg",
            }
        ],
        "more": False,
    },
    "GET /admin/v1/cluster 200": {
        "roles": [{"role": "host", "name": "host-1", "pid": 4711, "node": "10.0.0.11", "state": "running"}],
        "nodes": [{"address": "10.0.0.11", "alive": True, "drained": False}],
        "shards": 8,
        "map_version": 3,
    },
}
"""Answers whose schema says too little to make an example of it, by call and status."""


_LEAVES: Final[Mapping[str | None, Any]] = {
    "binary": "(the bytes of a file that is encrypted already)",
    "string": "…",
    "integer": 1,
    "number": 1.0,
    "boolean": False,
}


def complete(document: dict[str, Any]) -> None:
    """Give every body, answer and parameter of an API document an example, where it has none."""
    schemas = document.get("components", {}).get("schemas", {})
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            call = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", ()):
                own = PARAMETERS.get(f"{call} {parameter['name']}")
                parameter.setdefault(
                    "example", own or example_of(parameter["schema"], schemas, parameter["name"])
                )
            body = operation.get("requestBody", {})
            for status, part in {"": body, **operation["responses"]}.items():
                own = ANSWERS.get(f"{call} {status}")
                for content in part.get("content", {}).values():
                    if "example" not in content and "examples" not in content:
                        content["example"] = own or example_of(content["schema"], schemas)


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """Return the example of a schema, or one made of those of its parts; ``name`` is the member's."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if examples := schema.get("examples"):
        return examples[0]
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return example_of(choices[0], schemas, name)
    if schema.get("type") == "object":
        parts = schema.get("properties", {})
        return {member: example_of(part, schemas, member) for member, part in parts.items()}
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas, name)]
    first = next(iter(schema.get("enum", ())), schema.get("const"))
    known = MEMBERS.get(name, PARAMETERS.get(name, schema.get("default", first)))
    return _LEAVES.get(schema.get("format", schema.get("type")), {}) if known is None else known
