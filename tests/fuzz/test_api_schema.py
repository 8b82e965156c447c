"""Whatever OpenAPI allows, and some that it does not: every answer is one that the document names.

Bounded to seconds: a few examples for each call.
"""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.identity.limits import DEFAULTS, Limit
from tests.integration.api_world import Urls, running

# schemathesis draws from `random`, which newer hypothesis reports; warnings are errors here.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
BOUNDED = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ENDS_THE_SESSION = "/v1/sessions/current"


@pytest.fixture(scope="session")
def front(mongo_url: str, redis_url: str) -> Iterator[tuple[str, str]]:
    """Run the world in a thread of its own; gives its address and an access token."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    limits = {name: Limit(10_000.0, 100_000, each.scope) for name, each in DEFAULTS.items()}
    whole = running(Urls(mongo_url, redis_url), limits=limits)

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    world = run(whole.__aenter__())
    person = run(world.person())
    yield world.addresses[0], person.token
    run(whole.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def api(front: tuple[str, str]) -> Any:
    with urllib.request.urlopen(f"{front[0]}/openapi.json") as answer:
        document = json.load(answer)
    document["paths"].pop(ENDS_THE_SESSION)
    document["paths"]["/v1/me"].pop("delete")  # its example has the password: it ends the session, too
    for parameter in document["paths"]["/v1/sync"]["get"]["parameters"]:
        if parameter["name"] == "wait_s":
            parameter["schema"]["maximum"] = 1  # and no poll of a minute
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=front[0])
    return schema


def test_answers_are_documented(api: Any, front: tuple[str, str]) -> None:
    headers = {"Authorization": f"Bearer {front[1]}"}

    def ask(case: Any) -> None:
        response = case.call(headers=headers, timeout=70)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400 and case.path != "/readyz":
            assert json.loads(response.text)["request_id"]

    for found in api.get_all_operations():
        BOUNDED(given(case=found.ok().as_strategy())(ask))()
