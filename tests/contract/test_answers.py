"""What a gateway asks Redis about the ids that it is sent, and when it tells Redis of its answers."""

import asyncio
from typing import Any

import pytest

from api.identity.tokens import Principal
from api.sending.answers import Answers
from api.sending.send_request import SendRequest, SentIds
from roost import wire
from storage.ports import Accepted
from storage.redis.store import RedisStore

ANSWER = Accepted("bob", 7, 1_700_000_000_000, b"digest")
WHO = Principal("u-alice", "alice", "DEV", "family", 1, frozenset())


def item(message_id: str, ids: SentIds | None) -> SendRequest:
    frame = wire.Send(message_id, "bob", 1, "sealed.v1", {"PHONE": b"sealed"})
    return SendRequest(WHO, frame, lambda _outcome: None, ids=ids)


async def reads(cache: RedisStore) -> int:
    """Return how often Redis was asked for values so far."""
    return await calls(cache, "mget")


async def calls(cache: RedisStore, command: str) -> int:
    stats: Any = await cache._redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.fixture
def answers(cache: RedisStore) -> Answers:
    return Answers(cache)


async def test_only_the_first_id_of_a_stream_is_looked_up(cache: RedisStore, answers: Answers) -> None:
    ids = SentIds()
    await answers.recall([item("id-5", ids)])
    before = await reads(cache)
    for number in range(6, 10):
        await answers.recall([item(f"id-{number}", ids)])
    assert await reads(cache) == before
    await answers.recall([item("id-9", ids)])
    assert await reads(cache) == before + 1
    await answers.recall([item("id-99", None)])
    assert await reads(cache) == before + 2, "nothing is known of ids that come over HTTP"


async def test_a_new_stream_finds_what_was_answered_before(cache: RedisStore, answers: Answers) -> None:
    await answers.remember({("DEV", "id-5"): ANSWER, ("DEV", "id-7"): ANSWER})
    other, ids = Answers(cache), SentIds()
    await other.recall([item("id-4", ids)])
    await other.recall([item("id-5", ids), item("id-6", ids), item("id-7", ids)])
    found = [other.get(("DEV", f"id-{number}")) for number in (4, 5, 6, 7, 8)]
    assert found == [None, ANSWER, None, ANSWER, None]


async def test_other_gateways_know_an_answer_at_once(cache: RedisStore, answers: Answers) -> None:
    await answers.remember({("DEV", "id-1"): ANSWER})
    assert await cache.recall([("DEV", "id-1")]) == [ANSWER]


async def test_the_only_gateway_does_not_wait_and_still_writes(cache: RedisStore, answers: Answers) -> None:
    answers.alone = True
    for number in range(1, 4):
        await answers.remember({("DEV", f"id-{number}"): ANSWER})
    keys = [("DEV", f"id-{number}") for number in range(1, 4)]
    async with asyncio.timeout(5):
        while await cache.recall(keys) != [ANSWER] * 3:
            await asyncio.sleep(0.01)
    await answers.remember({("DEV", "id-4"): ANSWER})
    await answers.close()
    assert await cache.recall([("DEV", "id-4")]) == [ANSWER]


async def test_the_only_gateway_writes_many_answers_at_once(cache: RedisStore, answers: Answers) -> None:
    await answers.remember({("DEV", "id-0"): ANSWER})
    before = await calls(cache, "evalsha")
    answers.alone = True
    for number in range(20):
        await answers.remember({("DEV", f"id-{number}"): ANSWER})
        await asyncio.sleep(0.002)
    await answers.close()
    assert 0 < await calls(cache, "evalsha") - before < 10, "each of them could wait for the next ones"


async def test_a_gateway_that_is_no_longer_alone_writes_what_it_deferred(
    cache: RedisStore, answers: Answers
) -> None:
    answers.alone = True
    await answers.remember({("DEV", "id-1"): ANSWER})
    answers.alone = False
    await answers.remember({("DEV", "id-2"): ANSWER})
    assert await cache.recall([("DEV", "id-1"), ("DEV", "id-2")]) == [ANSWER, ANSWER]
