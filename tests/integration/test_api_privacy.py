"""Strangers, contacts and blocks over HTTP: what a gateway tells, whatever it has forgotten."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from roost.clock import now_ms
from tests.integration.api_world import Person, Urls, World, new_id, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as whole:
        yield whole


async def forget_answers(world: World, redis_url: str) -> None:
    """Let Redis and the gateway forget what was answered, as they do after a day."""
    for gateway in world.gateways:
        gateway.collaborators.answers._recent.clear()
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushdb()


async def state_of(person: Person, message_id: str, wanted: str, to: str = "") -> dict[str, Any]:
    """Return the state of a message once it is the one that is wanted."""
    path = f"/v1/messages/{message_id}" + (f"?to={to}" if to else "")
    deadline = now_ms() + 10_000
    state: Any = None
    while now_ms() < deadline:
        status, state = await person.call("GET", path)
        if status == 200 and state["state"] == wanted:
            return dict(state)
    raise AssertionError(f"still {state}")


async def receive(person: Person, seq: int) -> None:
    await person.receive(seq)
    await person.call("POST", "/v1/acks", {"seq": seq}, expect=204)


@pytest.mark.attack(
    "find out that one is blocked once caches have forgotten",
    "a stub of the message is stored",
)
@pytest.mark.parametrize("age_ms", [60_000, 6 * 24 * 3_600_000])
@pytest.mark.parametrize("to", [True, False])
async def test_a_block_cannot_be_told_when_everything_is_forgotten(
    world: World, redis_url: str, age_ms: int, *, to: bool
) -> None:
    carol, dave, erin = [await world.person() for _ in range(3)]
    await dave.call("PUT", f"/v1/blocks/{carol.username}", expect=204)
    seen = []
    for peer in (dave, erin):
        status, accepted = await carol.send(peer, b"hello", message_id=new_id(age_ms))
        assert status == 202, accepted
        await state_of(carol, accepted["id"], "stored")
        await forget_answers(world, redis_url)
        named = peer.username if to else ""
        state = await state_of(carol, accepted["id"], "stored", named)
        assert state["seq"] == accepted["seq"]
        again = await carol.send(peer, b"hello", message_id=accepted["id"])
        assert again == (202, accepted), "the same id gets the same number"
        await forget_answers(world, redis_url)
        status, other = await carol.send(peer, b"something else", message_id=accepted["id"])
        seen.append((sorted(state), status, other["code"]))
    assert seen[0] == seen[1]
    assert seen[0][1:] == (409, "id_reused")


@pytest.mark.attack("become a contact by writing", "the other has to write or accept")
async def test_one_who_only_writes_is_no_contact(world: World) -> None:
    """`last_seen: contacts`: it is not undone by a message of a stranger, but by the user's own."""
    carol, dave = [await world.person() for _ in range(2)]
    await dave.call("PATCH", "/v1/me", {"last_seen": "contacts"}, expect=200)
    async with dave.hello():
        _, accepted = await carol.send(dave)
        await state_of(carol, accepted["id"], "stored")
        presence = f"/v1/users/{dave.username}/presence"
        assert await carol.call("GET", presence, expect=200) == {"state": "offline"}
        assert (await dave.send(carol))[0] == 202
        deadline = now_ms() + 10_000
        while (state := await carol.call("GET", presence, expect=200)) != {"state": "online"}:
            assert now_ms() < deadline, state


@pytest.mark.parametrize(
    ("settings", "withheld"),
    [({"delivery_receipts": "contacts"}, True), ({"requests": True}, True), ({"last_seen": "nobody"}, False)],
)
@pytest.mark.parametrize("how", ["write", "accept"])
async def test_when_a_stranger_learns_of_the_delivery(
    world: World, redis_url: str, settings: dict[str, Any], how: str, *, withheld: bool
) -> None:
    carol, dave = [await world.person() for _ in range(2)]
    profile = await dave.call("PATCH", "/v1/me", settings, expect=200)
    assert profile | settings == profile
    _, accepted = await carol.send(dave)
    await receive(dave, accepted["seq"])
    await state_of(carol, accepted["id"], "stored" if withheld else "delivered")
    await forget_answers(world, redis_url)
    if withheld:
        state = await state_of(carol, accepted["id"], "stored", dave.username)
        assert "delivered_at_ms" not in state
    if how == "write":
        assert (await dave.send(carol))[0] == 202
    else:
        await dave.call("PUT", f"/v1/conversations/{carol.username}/accepted", expect=204)
    await state_of(carol, accepted["id"], "delivered")


async def test_accepting_one_who_does_not_exist(world: World) -> None:
    dave = await world.person()
    status, problem = await dave.call("PUT", "/v1/conversations/no.such.user/accepted")
    assert (status, problem["code"]) == (404, "unknown_user")
    await dave.call("PUT", f"/v1/conversations/{dave.username}/accepted", expect=204)


@pytest.mark.attack("fill a mailbox with changes of a stranger's devices", "only those who wrote are told")
async def test_the_devices_of_a_stranger_fill_no_mailbox(world: World) -> None:
    """Of carol, whom dave never answered, dave hears nothing; erin, who answered, does."""
    carol, dave, erin = [await world.person() for _ in range(3)]
    for peer in (dave, erin):
        _, accepted = await carol.send(peer)
        await receive(peer, accepted["seq"])
        await state_of(carol, accepted["id"], "delivered")
    _, answer = await erin.send(carol)
    await receive(carol, answer["seq"])
    await state_of(erin, answer["id"], "delivered")
    tablets = [await carol.log_in() for _ in range(3)]
    for tablet in tablets:
        await tablet.publish_keys()
    deadline = now_ms() + 10_000
    while len(changes := await keys_entries(erin)) < len(tablets):
        assert now_ms() < deadline, changes
    assert await keys_entries(dave) == []


async def keys_entries(person: Person) -> list[str]:
    page = await person.call("GET", "/v1/sync?cursor=0&limit=256", expect=200)
    return [each["device"] for each in page["entries"] if each["type"] == "keys"]
