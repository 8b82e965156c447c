"""Dead letters over HTTP: what an operator sees of them, and that a retry brings each back once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from roost.clock import now_ms
from roost.ids import shard_of
from storage.cluster_rows import DeadLetter
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.records import MessageRecord, PushRecord, decode_push, encode_push, encode_record
from storage.topics import MAILBOX, MAILBOX_DEAD, PUSH
from tests.integration.api_world import SHARDS, Person, Urls, World, new_id, running
from tests.live.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"what Alice wrote"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, redis_url: str) -> AsyncIterator[World]:
    async with running(Urls(mongo_url, redis_url)) as whole:
        admin = KafkaLogAdmin(whole.broker.spec.address)
        await admin.start()
        await admin.create(MAILBOX_DEAD, 1)
        await admin.close()
        yield whole


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(world: World) -> Person:
    person = await world.person(keys=False)
    await world.store.accounts.set_scope(person.tokens["user_id"], "admin", granted=True)
    return await person.log_in(person.device)


def message(alice: Person, bob: Person) -> MessageRecord:
    return MessageRecord(
        bob.tokens["user_id"],
        new_id(),
        alice.tokens["user_id"],
        alice.username,
        alice.device,
        now_ms(),
        now_ms(),
        "sealed.v1",
        {bob.device: SECRET},
    )


async def received(bob: Person) -> list[str]:
    page = await bob.call("GET", "/v1/sync", expect=200)
    return [each["id"] for each in page["entries"] if each["type"] == "message"]


async def letters(operator: Person, cause: str) -> list[dict[str, Any]]:
    found = await operator.call("GET", "/admin/v1/dead?limit=200", expect=200)
    return [each for each in found["letters"] if each["cause"] == cause]


async def test_a_message_that_was_on_the_wrong_shard_comes_back_once(world: World, operator: Person) -> None:
    alice, bob = await world.person(), await world.person()
    record = message(alice, bob)
    wrong = (shard_of(record.to, SHARDS) + 1) % SHARDS
    writer = KafkaLogWriter(world.broker.spec.address)
    await writer.start()
    [offset] = await writer.append(MAILBOX, [(wrong, encode_record(record))])
    await writer.close()
    [letter] = await until_found(lambda: letters(operator, record.cause))
    assert letter["id"].startswith(f"mailbox:{wrong}:{offset}:")
    assert letter["reason"] == "the record is on a shard that is not its recipient's"
    assert (letter["from"], letter["to"]) == (alice.username, bob.username)
    assert (letter["heading"], letter["topic"], letter["retried_at_ms"]) == ("a message", "mailbox", 0)
    assert letter["bytes"] == len(encode_record(record))
    assert SECRET.decode() not in str(letter)
    assert await received(bob) == []

    path = f"/admin/v1/dead/{letter['id']}/retry"
    answer = await operator.call("POST", path, expect=200)
    assert (answer["retried"], answer["shard"]) == (True, shard_of(record.to, SHARDS))
    assert await until_found(lambda: received(bob)) == [record.cause]
    status, problem = await operator.call("POST", path)
    assert (status, problem["code"]) == (409, "already_retried")
    [after] = await letters(operator, record.cause)
    assert after["retried_by"] == f"user:{operator.username}"
    acts = [each for each in await world.store.audit.entries() if each.target == letter["id"]]
    assert [each.act for each in acts] == ["dead.retry"] * 2
    assert [each.outcome for each in acts] == ["requested", "done"]
    assert await received(bob) == [record.cause]


async def test_a_message_that_the_mailbox_has_after_all_is_not_doubled(
    world: World, operator: Person
) -> None:
    alice, bob = await world.person(), await world.person()
    status, _ = await alice.send(bob)
    assert status == 202
    [there] = await until_found(lambda: received(bob))
    again = replace(message(alice, bob), cause=there)
    dead = DeadLetter(MAILBOX, 0, 10_000, "as if its store had been away", encode_record(again), now_ms())
    await world.store.cluster.keep_dead_letters([dead])
    [letter] = await letters(operator, there)
    await operator.call("POST", f"/admin/v1/dead/{letter['id']}/retry", expect=200)
    status, _ = await alice.send(bob)  # comes behind it
    assert status == 202
    assert (await until_found(lambda: received(bob), lambda ids: len(ids) > 1))[0] == there
    assert len(await received(bob)) == 2


async def test_a_wake_up_goes_back_to_the_topic_of_wake_ups(world: World, operator: Person) -> None:
    user, cause = operator.tokens["user_id"], new_id()
    value = encode_push(PushRecord(user, "PHONE", cause, 1))
    await world.store.cluster.keep_dead_letters([DeadLetter(PUSH, 0, 7, "given up", value, now_ms())])
    [letter] = await letters(operator, cause)
    assert (letter["heading"], letter["to"]) == ("a wake-up of the device PHONE", operator.username)
    answer = await operator.call("POST", f"/admin/v1/dead/{letter['id']}/retry", expect=200)
    reader = KafkaLogReader(world.broker.spec.address, PUSH, "look")
    await reader.start()
    await reader.assign({answer["shard"]: 0})
    found = await until_found(lambda: reader.poll(wait_ms=200, limit=10))
    await reader.close()
    pushes = [decode_push(each.value) for each in found[answer["shard"]]]
    assert [(each.user, each.device) for each in pushes if each.cause == cause] == [(user, "PHONE")]


async def test_what_cannot_be_written_back_stays(world: World, operator: Person) -> None:
    broken = DeadLetter(MAILBOX, 1, 3, "the record cannot be decoded: truncated", b"\x93" + SECRET, now_ms())
    await world.store.cluster.keep_dead_letters([broken])
    shown = await operator.call("GET", "/admin/v1/dead?limit=1", expect=200)
    [letter] = shown["letters"]
    assert (letter["heading"], shown["more"]) == ("a record that cannot be decoded", True)
    assert SECRET.decode() not in str(letter)
    path = f"/admin/v1/dead/{letter['id']}/retry"
    for _ in range(2):  # the first one did not use it up
        status, problem = await operator.call("POST", path)
        assert (status, problem["code"]) == (422, "invalid")
    older = await operator.call("GET", f"/admin/v1/dead?before={letter['id']}", expect=200)
    assert letter["id"] not in [each["id"] for each in older["letters"]]
    for path, method, expected in (
        ("/admin/v1/dead/mailbox:0:0:none/retry", "POST", (404, "not_found")),
        ("/admin/v1/dead?before=none", "GET", (422, "invalid")),
        ("/admin/v1/dead?limit=0", "GET", (422, "invalid")),
    ):
        status, problem = await operator.call(method, path)
        assert (status, problem["code"]) == expected
    observer = await world.person(keys=False)
    await world.store.accounts.set_scope(observer.tokens["user_id"], "observer", granted=True)
    observer = await observer.log_in(observer.device)
    await observer.call("GET", "/admin/v1/dead", expect=200)
    status, problem = await observer.call("POST", f"/admin/v1/dead/{letter['id']}/retry")
    assert (status, problem["code"]) == (403, "forbidden")
