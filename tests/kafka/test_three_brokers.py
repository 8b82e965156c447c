"""Three brokers, each partition on all of them, two of which must have a record before it is confirmed."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from sim.faults.system import attached
from sim.ledger import now_us
from sim.report.recovery import Fault, recoveries
from sim.run.conductor import Conductor, run_name
from sim.run.spec import Spec
from tests.contract.test_log import read, values
from tests.kafka.conftest import Kafka, MakeKafka, MakeRoost, events
from tests.kafka.test_brokers import clients, leaders
from tests.live.running import System

pytestmark = pytest.mark.timeout(200)

RATE = 500.0
USERS = 100
CALM_S = 5.0
LASTS_S = 16.0


@pytest.fixture(scope="module")
def kafka(make_kafka: MakeKafka) -> Kafka:
    return make_kafka(count=3)


@pytest.fixture(scope="module")
def system(kafka: Kafka, make_roost: MakeRoost) -> Iterator[System]:
    return make_roost(kafka.url, env={"ROOST_KAFKA__REPLICAS": "3"}).start()


async def test_a_new_leader_has_every_record_once(kafka: Kafka, topic: str) -> None:
    async with clients(kafka.url, topic, 4, replicas=3) as (_, writer, reader):
        confirmed: dict[int, list[bytes]] = {}
        uncertain = 0
        leader = (await leaders(kafka.url, topic))[0]
        for turn in range(60):
            items = [(n % 4, b"turn %d, %d" % (turn, n)) for n in range(20)]
            if turn == 20:
                kafka.kill(leader)
            for (shard, value), answer in zip(items, await writer.append(topic, items), strict=True):
                if isinstance(answer, int):
                    confirmed.setdefault(shard, []).append(value)
                uncertain += not isinstance(answer, int)
        now = await leaders(kafka.url, topic)
        assert leader not in now.values(), now
        found = values(await read(reader, sum(map(len, confirmed.values()))))
        for shard, expected in confirmed.items():
            seen = found[shard]
            assert len(seen) == len(set(seen)), "doubled"
            assert [value for value in seen if value in set(expected)] == expected
        assert uncertain == 0, "a change of leader is over before a writer's patience is"
    kafka.start_again(leader)


async def test_topics_are_made_with_three_copies_of_which_two_must_be_there(
    kafka: Kafka, system: System
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.url)
    await admin.start()
    topics = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "mailbox")])
    await admin.close()
    assert system.running
    for topic in ("mailbox", "push", "mailbox.dead", "push.dead"):
        assert all(len(each["replicas"]) == 3 for each in topics[topic])
    settings = {row[0]: row[1] for row in answer.resources[0][4]}
    assert settings["min.insync.replicas"] == "2"


@pytest.mark.slow
async def test_a_killed_broker_costs_no_message_of_500_a_second(
    kafka: Kafka, system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = Spec(
        server=system.http,
        fcm=system.fcm,
        folder=str(tmp_path),
        name=run_name(),
        users=USERS,
        rate=RATE,
        duration_s=LASTS_S,
        seed=20_261_123,
        settle_s=40.0,
        light=True,  # three brokers, Roost and a hundred phones share a few cores: the log is what is tried
    )
    running = asyncio.Event()
    struck: list[Fault] = []

    async def strike() -> None:
        await running.wait()
        await asyncio.sleep(CALM_S)
        victim = Counter((await leaders(kafka.url, "mailbox")).values()).most_common(1)[0][0]
        at_us = now_us()
        await asyncio.to_thread(kafka.kill, victim)
        struck.append(Fault("kill-broker", f"broker-{victim}", at_us, at_us))

    def watch(phase: str, *_: object) -> None:
        if phase == "running":
            running.set()

    async with attached(system.http) as found:
        striking = asyncio.create_task(strike())
        run = await Conductor(found, spec, [], watch).conduct()
        await striking
    verdict, totals = run.verdict, run.verdict.totals
    ended_us = run.go_us + round(LASTS_S * 1e6)
    [recovery_s] = recoveries(verdict.send_deliver, struck, ended_us)
    slowest_s = max(verdict.send_deliver.took_us) / 1e6
    with capsys.disabled():
        print(  # noqa: T201 -- figures are for people
            f"\n    {totals.sent:,} messages at {RATE:g}/s (light phones), {totals.delivered:,} delivered; "
            f"lost {verdict.counts['lost']}, doubled {verdict.counts['duplicated']}, "
            f"{verdict.unverified} unverified; {struck[0].target}, leader of most partitions, killed after "
            f"{(struck[0].begins_us - run.go_us) / 1e6:.0f} s: recovery {recovery_s or -1:.1f} s, "
            f"slowest message {slowest_s:.1f} s",
            end="",
        )
    assert verdict.holds, [(story.title, story.lines) for story in verdict.stories]
    assert run.settled
    assert verdict.unverified == 0
    assert totals.sent > 0.9 * RATE * LASTS_S
    assert totals.sent == totals.accepted == totals.delivered
    assert recovery_s is not None, "it was not seen to recover"
    assert recovery_s < 15
    assert not events(system, "log_lost"), "a change of leader is no loss of the log"
    await asyncio.to_thread(kafka.start_again, int(struck[0].target[-1]))
