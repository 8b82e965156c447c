"""The calls for operators: who may look, who may act, and how soon a scope that was taken away is gone."""

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.operations.rollout import OperationRefused
from cluster.operations.witness import Witness
from roost.clock import now_ms
from storage.audit_chain import faults
from tests.integration.api_world import Person, Urls, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATUS = {
    "roles": [{"role": "host", "name": "host-0"}],
    "shards": 4,
    "map_version": 2,
    "nodes": [],
    "ready": True,
}
CALLS = [
    ("GET", "/admin/v1/cluster", None),
    ("GET", "/admin/v1/operations/0", None),
    ("POST", "/admin/v1/drain", {"target": "host-0"}),
    ("POST", "/admin/v1/undrain", {"target": "10.0.0.3"}),
    ("POST", "/admin/v1/upgrade", None),
    ("POST", "/admin/v1/scale", {"counts": {"host": 2}}),
]

LOOKS = [
    ("GET", "/admin/v1/dead"),
    ("GET", "/admin/v1/connections"),
    ("GET", "/admin/v1/hot"),
    ("GET", "/admin/v1/users/nobody.here"),
    ("GET", "/admin/v1/roles/host-0/log"),
    ("GET", "/admin/v1/settings"),
    ("GET", "/admin/v1/keys"),
]
ACTS = [
    ("POST", "/admin/v1/dead/mailbox:0:0:none/retry"),
    ("DELETE", "/admin/v1/connections/gateway-0:1:1"),
    ("DELETE", "/admin/v1/users/nobody.here/sessions/NONE"),
    ("POST", "/admin/v1/roles/host-0/stacks"),
    ("POST", "/admin/v1/traces"),
    ("GET", "/admin/v1/traces/none"),
    ("GET", "/admin/v1/users/nobody.here/trace"),
]


class Asked:
    """The coordinator's side: takes requests, and writes down who made them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.witness: Witness | None = None

    async def status(self) -> dict[str, Any]:
        return STATUS

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["act"] == "ask":
            return {"answers": {}, "away": {}}
        if message["act"] in ("settings", "keys"):
            return []  # type: ignore[return-value]  # of these calls the coordinator's answer is a list
        if message["act"] == "operation":
            return {"lines": [], "stage": "", "done": False, "failure": "", "given_up": []}
        if message["what"] == "no-such-host":
            return {"refused": OperationRefused("There is no such role.").detail}
        self.messages.append(message)
        assert self.witness is not None
        await self.witness.requested(message["by"], message["act"], message["what"])
        return {"number": len(self.messages) - 1}


@pytest.fixture(scope="module")
def coordinator() -> Asked:
    return Asked()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str, coordinator: Asked) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url), gateways=2, control_plane=coordinator) as whole:
        coordinator.witness = Witness(whole.store.audit, now_ms)
        yield whole


async def holder(world: World, *scopes: str) -> Person:
    """Return a person whose tokens have these scopes."""
    person = await world.person(keys=False)
    for scope in scopes:
        await world.store.accounts.set_scope(person.tokens["user_id"], scope, granted=True)
    return await person.log_in(person.device)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(world: World) -> tuple[Person, Person]:
    """Return someone without a scope, and an admin: for what changes neither."""
    return await holder(world), await holder(world, "admin")


async def codes(person: Person, gateway: int = 0) -> list[str]:
    seen = []
    for method, path, body in CALLS:
        status, answer = await person.call(method, path, body, gateway=gateway)
        seen.append("" if status < 300 else answer["code"])
    return seen


@pytest.mark.attack("stranger-operates")
async def test_who_has_no_scope_may_neither_look_nor_act(
    world: World, coordinator: Asked, pair: tuple[Person, Person]
) -> None:
    before = list(coordinator.messages), await world.store.audit.entries()
    assert await codes(pair[0]) == ["forbidden"] * len(CALLS)
    for method, path, body in CALLS:
        status, problem = await world.call(method, path, body)
        assert (status, problem["code"]) == (401, "unauthenticated")
    after = list(coordinator.messages), await world.store.audit.entries()
    assert after == before, "nor does anyone fill the log"


@pytest.mark.attack("observer-acts")
async def test_an_observer_looks_and_does_not_act(world: World, coordinator: Asked) -> None:
    before, eve = list(coordinator.messages), await holder(world, "observer")
    assert await codes(eve) == ["", "", *["forbidden"] * 4]
    assert coordinator.messages == before
    entries = await world.store.audit.entries()
    tries = [each for each in entries if each.actor == f"user:{eve.username}"]
    assert [(each.target, each.outcome) for each in tries] == [
        (f"POST /admin/v1/{act}", "refused: forbidden") for act in ("drain", "undrain", "upgrade", "scale")
    ]


@pytest.mark.attack("look-or-act-through-the-dashboards-calls", "each call asks for its scope")
async def test_no_call_of_the_dashboard_lets_a_stranger_look_or_an_observer_act(
    world: World, pair: tuple[Person, Person]
) -> None:
    (stranger, admin), observer = pair, await holder(world, "observer")
    body = {"username": "nobody.here", "for_s": 1}

    async def code_of(person: Person, method: str, path: str) -> str:
        status, answer = await person.call(method, path, body if path.endswith("traces") else None)
        return "" if status < 300 else str(answer["code"])

    for method, path in LOOKS + ACTS:
        status, problem = await world.call(method, path)
        assert (status, problem["code"]) == (401, "unauthenticated"), path
        assert await code_of(stranger, method, path) == "forbidden", path
        assert await code_of(admin, method, path) in ("", "unknown_user", "not_found"), path
    for method, path in LOOKS:
        assert await code_of(observer, method, path) != "forbidden", path
    for method, path in ACTS:
        assert await code_of(observer, method, path) == "forbidden", path


async def test_an_admin_acts_and_it_is_written_down(world: World, coordinator: Asked) -> None:
    admin = await holder(world, "admin")
    assert (await admin.call("GET", "/admin/v1/cluster", expect=200))["shards"] == 4
    before = len(coordinator.messages)
    begun = await admin.call("POST", "/admin/v1/scale", {"counts": {"host": 3, "router": 2}}, expect=202)
    assert (begun["number"], begun["done"]) == (before, False)
    await admin.call("POST", "/admin/v1/scale", {"counts": {"shards": 8}}, expect=202)
    await admin.call("POST", "/admin/v1/drain", {"target": "host-0"}, expect=202)
    await admin.call("POST", "/admin/v1/undrain", {"target": "10.0.0.3"}, expect=202)
    await admin.call("POST", "/admin/v1/upgrade", expect=202)
    by = f"user:{admin.username}"
    assert coordinator.messages[before:] == [
        {"act": "scale", "what": {"host": 3, "router": 2}, "by": by},
        {"act": "grow", "what": 8, "by": by},
        {"act": "drain", "what": "host-0", "by": by},
        {"act": "undrain", "what": "10.0.0.3", "by": by},
        {"act": "upgrade", "what": True, "by": by, "restart": True},
    ]
    entries = await world.store.audit.entries()
    assert [(each.act, each.target) for each in entries if each.actor == by] == [
        ("scale", "host=3 router=2"), ("grow", "8"), ("drain", "host-0"),
        ("undrain", "10.0.0.3"), ("upgrade", ""),
    ]  # fmt: skip
    assert faults(entries) == []
    for body in ({"counts": {"shards": 8, "host": 2}}, {"counts": {}}, {"counts": {"host": "2"}}, {}):
        status, problem = await admin.call("POST", "/admin/v1/scale", body)
        assert (status, problem["code"]) == (422, "invalid")
    status, problem = await admin.call("POST", "/admin/v1/drain", {"target": "no-such-host"})
    assert (status, problem["code"]) == (422, "invalid")


async def test_a_user_is_looked_at_and_that_is_written_down(
    world: World, pair: tuple[Person, Person]
) -> None:
    alice, admin = await world.person(), pair[1]
    await alice.log_in()
    await alice.call("DELETE", "/v1/sessions/current", expect=204)
    path = f"/admin/v1/users/{alice.username.upper()}"
    found = await admin.call("GET", path, expect=200)
    assert (found["user_id"], found["scopes"]) == (alice.tokens["user_id"], [])
    phone, other = found["devices"]
    assert (phone["has_keys"], phone["signed_out"]) == (True, True)
    assert (other["has_keys"], other["signed_out"]) == (False, False)
    assert [each["device_id"] for each in found["sessions"]] == [other["device_id"]]
    assert "phone" not in str(found), "what people call their devices is theirs"
    status, problem = await pair[0].call("GET", path)
    assert (status, problem["code"]) == (403, "forbidden")
    status, problem = await admin.call("GET", "/admin/v1/users/nobody.here")
    assert (status, problem["code"]) == (404, "unknown_user")
    looks = [each for each in await world.store.audit.entries() if each.act == "user.look"]
    assert [(each.actor, each.target) for each in looks] == [(f"user:{admin.username}", alice.username)]


@pytest.mark.attack("scope-revoked-and-token-kept")
@pytest.mark.parametrize("gateway", [0, 1])
async def test_a_scope_that_was_taken_away_is_gone_from_living_tokens(world: World, gateway: int) -> None:
    admin = await holder(world, "admin", "observer")
    assert await codes(admin, gateway) == [""] * len(CALLS)
    await world.store.accounts.set_scope(admin.tokens["user_id"], "admin", granted=False)
    assert await codes(admin, gateway) == ["", "", *["forbidden"] * 4]
    await world.store.accounts.set_scope(admin.tokens["user_id"], "observer", granted=False)
    assert await codes(admin, gateway) == ["forbidden"] * len(CALLS)


@pytest.mark.attack("scope-granted-after-the-token")
async def test_a_token_has_no_scope_that_it_does_not_name(world: World) -> None:
    alice = await holder(world)
    await world.store.accounts.set_scope(alice.tokens["user_id"], "admin", granted=True)
    assert await codes(alice) == ["forbidden"] * len(CALLS)
    status, alice.tokens = await world.call(
        "POST", "/v1/sessions/refresh", {"refresh_token": alice.tokens["refresh_token"]}
    )
    assert status == 200
    assert await codes(alice) == [""] * len(CALLS)


@pytest.mark.attack("scope-forged")
@pytest.mark.parametrize("how", ["own key", "no algorithm", "claims swapped", "account has none"])
async def test_a_forged_scope_is_worth_nothing(world: World, pair: tuple[Person, Person], how: str) -> None:
    alice, admin = pair
    head, claims, signature = alice.token.split(".")
    forged = jwt.decode(alice.token, options={"verify_signature": False}) | {"scope": "admin"}
    kid = jwt.get_unverified_header(alice.token)["kid"]
    if how == "own key":
        token = jwt.encode(forged, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid})
    elif how == "no algorithm":
        token = jwt.encode(forged, None, algorithm="none", headers={"kid": kid})
    elif how == "claims swapped":
        token = f"{head}.{admin.token.split('.')[1]}.{signature}"
    else:  # as if it had leaked into a token by a bug: the account decides
        collaborators = world.gateways[0].collaborators
        principal = collaborators.tokens.verify(alice.token)
        token = collaborators.tokens.issue(type(principal)(**_fields(principal), scopes=("admin",)))
    assert claims != token
    thief = Person(world, alice.username, alice.tokens | {"access_token": token})
    expected = "forbidden" if how == "account has none" else "unauthenticated"
    assert await codes(thief) == [expected] * len(CALLS)


def _fields(principal: Any) -> dict[str, Any]:
    return {name: getattr(principal, name) for name in principal.__struct_fields__ if name != "scopes"}
