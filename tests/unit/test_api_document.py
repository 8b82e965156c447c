"""The API document: every call and every error has an example, which its own schema accepts."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from api.app import fastapi_app
from api.collaborators import ApiSettings
from api.http.examples import ERRORS
from roost.codes import CODES

DOCUMENT: dict[str, Any] = fastapi_app(SimpleNamespace(settings=ApiSettings("localhost", 1, 1))).openapi()  # type: ignore[arg-type]
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"body {media_type}", content
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            yield status, content


def examples(content: dict[str, Any]) -> list[Any]:
    named = [each["value"] for each in content.get("examples", {}).values()]
    return [*named, content["example"]] if "example" in content else named


def faults(schema: dict[str, Any], example: Any) -> list[str]:
    validator = Draft202012Validator(schema | {"components": DOCUMENT["components"]})
    return [each.message for each in validator.iter_errors(example)]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_call_has_examples_that_its_schemas_accept(name: str, operation: dict[str, Any]) -> None:
    assert operation.get("description"), f"{name} says nothing of itself"
    for place, content in contents(operation):
        schema = content["schema"]
        found = examples(content)
        assert found, f"{name} has no example of {place}"
        for example in found:
            assert faults(schema, example) == [], f"{name}, {place}: {example}"
            assert example not in ({}, [], [{}], "..."), f"the example of {place} of {name} says nothing"
    for parameter in operation.get("parameters", ()):
        if parameter["in"] != "header":
            assert "example" in parameter, f"{name}: {parameter['name']} has no example"
            assert faults(parameter["schema"], parameter["example"]) == []


def test_every_error_has_an_example_of_its_own() -> None:
    said = {
        problem["code"]: problem
        for _, operation in OPERATIONS
        for status, content in contents(operation)
        if status >= "400" and "examples" in content
        for problem in examples(content)
    }
    for word, problem in said.items():
        assert word in ERRORS, f"{word} has no example in api/http/examples.py"
        assert problem["detail"] != problem["title"]
        assert (problem["status"], problem["title"]) == (CODES[word].status, CODES[word].title)
    assert {word for word in ERRORS if word not in CODES} == set()
    assert len(said) > 20
