"""An operator of a running system: an account, calls that reach the coordinator, and their trace."""

import asyncio
import json
from typing import Any

import aiohttp

from roost import client as sdk
from roost.own_packages import program
from tests.live.app import App
from tests.live.running import System
from tests.live.waiting import until_found


async def admin(system: System, *words: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(*program("roost"), "admin", *words, "--json", "--data", str(system.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate()
    assert process.returncode == 0, complaint
    return json.loads(out)


async def follows_the_system(http: aiohttp.ClientSession, token: str, names: set[str]) -> None:
    """What the coordinator shows live has every role, and its events are in the store."""
    headers = {"Authorization": f"Bearer {token}"}
    found: dict[str, Any] = {}
    async with asyncio.timeout(20), http.get("/admin/v1/stream", headers=headers) as answer:
        while not {"hello", "history", "state", "figures", "event"} <= found.keys():
            name = (await answer.content.readline()).decode().strip().removeprefix("event: ")
            found[name] = json.loads((await answer.content.readline()).removeprefix(b"data: "))
            await answer.content.readline()
    assert {row["name"] for row in found["state"]["roles"]} == names
    [node] = found["state"]["nodes"]
    assert node["memory_total_bytes"] > node["memory_bytes"] > 0
    assert {"gateway-1", "host-1", "router-1", "pusher-1", "coordinator", "mongo"} <= found["figures"][
        "roles"
    ].keys()
    assert all(of["memory_bytes"] > 2**20 for of in found["figures"]["roles"].values())
    async with http.get("/admin/v1/events?limit=1000", headers=headers) as answer:
        events = (await answer.json())["events"]
    assert {"coordinator", "host-1"} <= {each["subject"] for each in events if each["kind"] == "role_started"}


async def test_an_operator_reaches_the_coordinator_over_http(system: System) -> None:
    made = await admin(system, "create-user", "an.operator", "--generate", "--scope", "admin")
    async with aiohttp.ClientSession(system.http) as http:

        async def call(method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with http.request(method, path, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        body = {"username": "an.operator", "password": made["password"], "device": {"name": "x"}}
        _, tokens = await call("POST", "/v1/sessions", body)
        token = tokens["access_token"]
        status, cluster = await call("GET", "/admin/v1/cluster", token=token)
        names = {row["name"] for row in (await system.status())["roles"]}
        assert (status, {row["name"] for row in cluster["roles"]}) == (200, names)
        status, problem = await call("POST", "/admin/v1/drain", {"target": "no-such-host"}, token)
        assert (status, problem["code"]) == (422, "invalid")
        assert "no-such-host" in problem["detail"]
        await follows_the_system(http, token, names)
        await look_into_the_roles(call, token)
        await admin(system, "revoke", "an.operator", "admin")
        status, problem = await call("GET", "/admin/v1/cluster", token=token)
        assert (status, problem["code"]) == (403, "forbidden")
    found = await admin(system, "audit", "--verify")
    assert found["faults"] == []
    seen = {(each["actor"].split(":")[0], each["act"]) for each in found["entries"]}
    assert {("operator", "admin.create_user"), ("user", "drain"), ("operator", "admin.revoke")} <= seen
    assert {("user", "role.stacks"), ("user", "user.look")} <= seen


async def look_into_the_roles(call: Any, token: str) -> None:
    """Ask the real roles, through the real coordinator."""

    async def answered(path: str, method: str = "GET") -> Any:
        status, found = await call(method, f"/admin/v1{path}", token=token)
        assert status == 200, found
        return found

    for name in ("host-1", "coordinator"):
        lines = (await answered(f"/roles/{name}/log?lines=3"))["lines"]
        assert 0 < len(lines) <= 3
        assert json.loads(lines[-1])["name"] == name
        assert "thread MainThread" in (await answered(f"/roles/{name}/stacks", "POST"))["text"]
    status, problem = await call("GET", "/admin/v1/roles/host-99/log", token=token)
    assert (status, problem["code"]) == (404, "not_found")
    rows = {row["name"]: row for row in (await answered("/settings"))["settings"]}
    assert rows["mongo.url"]["source"] == "start"
    assert "@" not in rows["mongo.url"]["value"], "no password"
    assert rows["telemetry.metrics_port"]["source"] == "environment"
    found = await answered("/keys")
    assert {"storage", "token", "vapid"} <= {row["purpose"] for row in found["keys"]}
    assert found["away"] == []
    assert (await answered("/connections?order=old"))["away"] == []
    assert (await answered("/hot"))["since_ms"] > 0
    user = await answered("/users/an.operator")
    assert (user["online"], user["pushes"], user["host"].split("-")[0]) == (False, [], "host")
    assert (await answered("/dead"))["more"] is False


async def test_a_message_is_watched_through_all_roles(system: System) -> None:
    made = await admin(system, "create-user", "a.watcher", "--generate", "--scope", "admin")
    async with aiohttp.ClientSession(system.http) as http, sdk.connections() as connections:
        token = ""

        async def call(method: str, path: str, body: Any = None) -> Any:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with http.request(method, path, json=body, headers=headers) as answer:
                found = await answer.json(content_type=None)
                assert answer.status < 300, found
                return found

        body = {"username": "a.watcher", "password": made["password"], "device": {"name": "x"}}
        token = (await call("POST", "/v1/sessions", body))["access_token"]
        ann, ben = App(system.http, "seen.ann", connections), App(system.http, "seen.ben", connections)
        await asyncio.gather(ann.join(), ben.join())
        watching = await call("POST", "/admin/v1/traces", {"username": "seen.ann", "for_s": 60})
        assert {name.split("-")[0] for name in watching["roles"]} >= {"gateway", "router", "host"}
        assert watching["away"] == []
        await ann.client.send("seen.ben", "who sees this on its way?")
        await ben.gets(lambda: ben.texts("seen.ann"), "the message")
        cause = ann.all(sdk.Accepted)[0].id

        async def seen() -> list[tuple[str, str]]:
            found = await call("GET", f"/admin/v1/traces/{cause}")
            return [(hop["role"], hop["step"]) for hop in found["hops"]]

        way = [
            ("gateway", "received"),
            ("router", "read"),
            ("host", "handled"),
            ("gateway", "delivered"),
            ("gateway", "acknowledged"),
        ]
        beside = {("gateway", "accepted"), ("host", "stored")}
        steps = await until_found(seen, lambda steps: {*way, *beside} <= set(steps))
        places = [steps.index(each) for each in way]
        assert places == sorted(places)
        of_ann = await call("GET", "/admin/v1/users/seen.ann/trace?wait_s=0.1")
        assert cause in {hop["cause"] for hop in of_ann["hops"]}
        assert "who sees this" not in str(of_ann)
        await asyncio.gather(ann.leave(), ben.leave())
    found = await admin(system, "audit", "--verify")
    written = [each["outcome"] for each in found["entries"] if each["target"] == "seen.ann 60 s"]
    assert written == ["requested", "done"]
