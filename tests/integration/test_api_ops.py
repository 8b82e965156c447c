"""The operators' stream and line of events over HTTP: what is sent, to whom, and when it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from msgspec.structs import replace
from pydantic import BaseModel

from api.http import event_stream
from api.http.schemas.ops import stream as bodies
from api.http.schemas.ops.events import Event
from api.ops import feed
from cluster.ops.ops import Ops
from cluster.ops.view import View
from cluster.ops.wire import Seen
from cluster.supervision.membership import Membership, Patience
from cluster.supervision.roles import Roles
from roost.clock import now_ms
from roost.errors import Unavailable
from roost.tasks import BackgroundTasks
from storage import event_records
from tests.integration.api_world import Person, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODIES: dict[str, type[BaseModel]] = {
    "hello": bodies.Hello,
    "history": bodies.History,
    "state": bodies.State,
    "figures": bodies.Figures,
    "event": Event,
    "operation": bodies.OperationProgress,
    "away": bodies.Away,
    "bye": bodies.Bye,
}


class Coordinator:
    """The coordinator's side: the live picture of a system of which no role runs."""

    def __init__(self) -> None:
        self.ops: Ops | None = None
        self.away = False

    async def status(self) -> dict[str, Any]:
        return {}

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.away or self.ops is None:
            raise Unavailable("The coordinator does not answer.")
        answer = self.ops.answer(msgspec.convert(message["seen"], Seen))
        found: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(answer))
        return found


@pytest.fixture(scope="module")
def coordinator() -> Coordinator:
    return Coordinator()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, coordinator: Coordinator) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), control_plane=coordinator) as whole:
        status = {
            "roles": [{"role": "host", "name": "host-0", "node": "10.0.0.1", "state": "silent", "pid": None}],
            "nodes": [
                {"node": "10.0.0.1", "id": "a", "hostname": "one", "cpus": 2.0, "roles": 1, "drained": False}
            ],
            "map_version": 1,
            "ready": True,
        }
        view = View(lambda: status, lambda: whole.shard_map, Roles(Membership(Patience(1500, 5000))))
        coordinator.ops, tasks = Ops(view, whole.store, now_ms), BackgroundTasks()
        coordinator.ops.start(tasks)
        yield whole
        await tasks.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_EVERY_S", 0.02)
    monkeypatch.setattr(event_stream, "_LOOK_AGAIN_S", 0.02)


async def holder(world: World, *scopes: str) -> Person:
    """Return a person whose tokens have these scopes."""
    person = await world.person(keys=False)
    for scope in scopes:
        await world.store.accounts.set_scope(person.tokens["user_id"], scope, granted=True)
    return await person.log_in(person.device)


class Page:
    """A page that reads the stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str, Any]:
        """Return the next event, whose data is as its schema says; ``("", None)`` at the end."""
        name, data = "", None
        while line := (await self.answer.content.readline()).decode().rstrip("\n"):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
        if name:
            strictly(BODIES[name], data)
        return name, data

    async def until(self, wanted: str) -> Any:
        """Return the data of the next event of this name."""
        async with asyncio.timeout(5):
            while True:
                name, data = await self.next()
                assert name or not self.answer.content.at_eof(), f"the stream ended without {wanted}"
                if name == wanted:
                    return data


def strictly(body: type[BaseModel], data: Any) -> None:
    """Check that the data is as the API document says, with nothing that it does not name."""
    assert data.keys() <= body.model_fields.keys(), (body, data)
    body.model_validate(data)


@asynccontextmanager
async def listening(person: Person) -> AsyncIterator[Page]:
    url = f"{person.world.addresses[0]}/admin/v1/stream"
    headers = {"Authorization": f"Bearer {person.token}"}
    async with person.world.http.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Page(answer)


async def test_a_page_is_sent_what_there_is_and_then_what_is_new(
    world: World, coordinator: Coordinator
) -> None:
    assert coordinator.ops is not None
    async with listening(await holder(world, "observer")) as page:
        assert page.answer.headers["Content-Type"].startswith("text/event-stream")
        assert page.answer.headers["Cache-Control"] == "no-store"
        assert (await page.next())[0] == "hello"
        history = await page.until("history")
        assert len(history["at_ms"]) == len(history["values"]["accepted_per_s"]) > 0
        state = await page.until("state")
        assert state["nodes"][0] | {"address": "10.0.0.1", "alive": False} == state["nodes"][0]
        assert state["shards"][0]["moving"]
        assert {"accepted_per_s", "lag_records", "cpu_cores"} <= (await page.until("figures"))[
            "values"
        ].keys()
        assert (await page.until("event"))["subject"] == "coordinator"
        coordinator.ops.line.note("log_renewed", "mailbox", "Renewed.", more={"shards": 2})
        event = await page.until("event")
        assert (event["kind"], event["more"]) == ("log_renewed", {"shards": 2})


async def test_a_coordinator_that_is_away_is_told_of(world: World, coordinator: Coordinator) -> None:
    admin = await holder(world, "admin")
    async with listening(admin) as page:
        await page.until("state")
        coordinator.away = True
        try:
            await page.until("away")
            status, problem = await admin.call("GET", "/admin/v1/stream")
            assert (status, problem["code"]) == (503, "unavailable")
        finally:
            coordinator.away = False
        assert coordinator.ops is not None
        coordinator.ops.line.note("log_renewed", "mailbox", "Renewed.")
        await page.until("event")


@pytest.mark.attack("follow the system without a scope", "the scope is looked up")
async def test_who_has_no_scope_sees_nothing(world: World) -> None:
    stranger = await holder(world)
    for path in ("/admin/v1/stream", "/admin/v1/events"):
        status, problem = await stranger.call("GET", path)
        assert (status, problem["code"]) == (403, "forbidden")
        status, problem = await world.call("GET", path)
        assert (status, problem["code"]) == (401, "unauthenticated")


@pytest.mark.attack("go on following the system after the scope was taken away", "it is looked up again")
async def test_a_stream_ends_when_the_scope_is_taken_away(world: World) -> None:
    person = await holder(world, "observer")
    async with listening(person) as page:
        await page.until("state")
        await world.store.accounts.set_scope(person.tokens["user_id"], "observer", granted=False)
        assert (await page.until("bye"))["code"] == "forbidden"
        assert await page.next() == ("", None)


@pytest.mark.attack("go on following the system after the session ended", "the stream ends with it")
async def test_a_stream_ends_with_the_session(world: World) -> None:
    person = await holder(world, "observer")
    async with listening(person) as page:
        await page.until("state")
        await person.call("DELETE", "/v1/sessions/current", expect=204)
        assert (await page.until("bye"))["code"] == "revoked"


@pytest.mark.attack("go on following the system after the token ended", "the stream ends with it")
async def test_a_stream_ends_with_the_token(world: World) -> None:
    person, tokens = await holder(world, "observer"), world.gateways[0].collaborators.tokens
    principal = tokens.verify(person.token)
    tokens.ttl_s, usual = 1, tokens.ttl_s
    try:
        person.tokens["access_token"] = tokens.issue(principal)
    finally:
        tokens.ttl_s = usual
    async with listening(person) as page:
        assert (await page.until("bye"))["code"] == "unauthenticated"


async def test_a_page_that_leaves_is_forgotten(world: World) -> None:
    listeners = world.gateways[0].collaborators.ops
    async with listening(await holder(world, "observer")) as page:
        await page.until("state")
        assert len(listeners) == 1
    async with asyncio.timeout(10):
        while len(listeners):
            await asyncio.sleep(0.01)


async def test_the_line_of_events_is_read_backwards(world: World, coordinator: Coordinator) -> None:
    assert coordinator.ops is not None
    for number in range(5):
        coordinator.ops.line.note("node_joined", f"10.0.1.{number}", "The machine joined.", by="user:ann")
    observer = await holder(world, "observer")
    async with asyncio.timeout(10):
        while True:
            first = await observer.call("GET", "/admin/v1/events?limit=3", expect=200)
            if first["events"] and first["events"][0]["subject"] == "10.0.1.4":
                break
    assert [each["subject"] for each in first["events"]] == ["10.0.1.4", "10.0.1.3", "10.0.1.2"]
    assert first["more"]
    before = first["events"][-1]["n"]
    rest = await observer.call("GET", f"/admin/v1/events?before={before}&limit=1000", expect=200)
    assert [each["subject"] for each in rest["events"]][:2] == ["10.0.1.1", "10.0.1.0"]
    assert not rest["more"]
    for each in rest["events"]:
        strictly(Event, each)
    for query in ("limit=0", "limit=1001", "before=-1", "before=x"):
        status, problem = await observer.call("GET", f"/admin/v1/events?{query}")
        assert (status, problem["code"]) == (422, "invalid")


async def test_an_event_is_in_the_document_as_it_is_sent() -> None:
    event = event_records.Event(1, 2, "role_started", "a", "b", "info", "c", {"d": 1})
    sent = msgspec.json.decode(msgspec.json.encode(replace(event, stored=False)))
    assert sent.keys() == Event.model_fields.keys()
