"""What the doctor makes of servers that no test here runs: many brokers, old versions, other releases."""

import pytest

from cluster.cli.doctor import shown
from cluster.doctor import servers
from cluster.doctor.exposure import judge_exposure
from cluster.doctor.finding import Finding, ok
from cluster.doctor.here import place_of
from cluster.doctor.running import judge_roles
from cluster.settings import Settings
from storage.cluster_rows import LogState
from storage.kafka_log.inspection import LogInspection, TopicInspection
from storage.mongo.inspection import StoreInspection
from storage.redis.inspection import CacheInspection

SETTINGS = Settings.model_validate(
    {
        "shards": 2,
        "kafka": {"url": "k1:9092", "replicas": 3},
        "mongo": {"url": "mongodb://m1"},
        "redis": {"url": "redis://r1"},
    }
)
BROKERS = ("k1:9092", "k2:9092", "k3:9092")
SOUND = {"min.insync.replicas": "2", "retention.ms": "604800000", "retention.bytes": "-1"}


def topic(
    *,
    partitions: int = 2,
    replicas: int = 3,
    in_sync: int = 3,
    firsts: tuple[int, ...] = (0, 0),
    **changes: str,
) -> TopicInspection:
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    return TopicInspection(partitions, replicas, in_sync, SOUND | changed, firsts)


def log(mailbox: TopicInspection, brokers: tuple[str, ...] = BROKERS) -> LogInspection:
    return LogInspection(brokers, {"mailbox": mailbox, "push": topic()})


def wrong(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(each.check, each.state, each.fix) for each in findings if each.state != "ok"]


def test_three_brokers_in_order_are_well() -> None:
    findings = list(servers.judge_log(log(topic()), SETTINGS, {0: LogState(0, 1, 9), 1: LogState(1, 1, 9)}))
    assert wrong(findings) == []
    assert {each.check for each in findings} == {"kafka", "topics", "copies", "retention"}


@pytest.mark.parametrize(
    ("found", "check", "state", "word"),
    [
        (log(topic(), BROKERS[:2]), "copies", "failed", "ROOST_KAFKA__REPLICAS=2"),
        (log(topic(replicas=1, in_sync=1)), "copies", "failed", "kafka-reassign-partitions"),
        (log(topic(min_insync_replicas="1")), "copies", "failed", "min.insync.replicas=2 on mailbox"),
        (log(topic(min_insync_replicas="3")), "copies", "warning", "min.insync.replicas=2 on mailbox"),
        (log(topic(in_sync=2)), "copies", "warning", "Look after the broker"),
        (log(topic(retention_ms="3600000")), "retention", "warning", "retention.ms=604800000"),
        (log(topic(retention_bytes="1000000")), "retention", "warning", "retention.bytes=-1"),
        (log(topic(cleanup_policy="compact")), "retention", "failed", "cleanup.policy=delete"),
        (log(topic(firsts=(0, 7))), "retention", "failed", "retention.ms"),
        (log(topic(max_message_bytes="1048588")), "topics", "failed", "max.message.bytes="),
        (log(topic(partitions=3)), "topics", "failed", "was made with"),
    ],
)
def test_faults_of_a_broker_cluster_are_found(
    found: LogInspection, check: str, state: str, word: str
) -> None:
    states = {0: LogState(0, 1, 5), 1: LogState(1, 1, 5)}
    [(named, how, fix)] = wrong(list(servers.judge_log(found, SETTINGS, states)))
    assert (named, how) == (check, state)
    assert word in fix


def store(version: str = "8.0.4", copies: str = "rs0") -> StoreInspection:
    return StoreInspection(version, copies, 0, {}, None, {}, open=False)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (store(), []),
        (store(copies="sharded"), []),
        (store(copies=""), [("mongo", "warning")]),
        (store("6.0.1"), [("mongo", "failed")]),
    ],
)
def test_stores(found: StoreInspection, expected: list[tuple[str, str]]) -> None:
    findings = wrong(list(servers.judge_store(found, SETTINGS, None)))
    assert [(check, state) for check, state, _ in findings] == expected


def cache(version: str = "7.4.1", *, evicted: int = 0, scripts: bool = True) -> CacheInspection:
    return CacheInspection(version, 2**28, "allkeys-lru", evicted, scripts, 0, open=False)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (cache(), []),
        (cache("6.0.16"), [("redis", "failed")]),
        (cache(scripts=False), [("redis", "failed")]),
        (cache(evicted=3), [("redis memory", "warning")]),
    ],
)
def test_caches(found: CacheInspection, expected: list[tuple[str, str]]) -> None:
    findings = wrong(list(servers.judge_cache(found, SETTINGS)))
    assert [(check, state) for check, state, _ in findings] == expected


@pytest.mark.attack("find a server without a password at a public address", "roost doctor fails on it")
def test_servers_on_public_addresses_without_a_password_are_exposed() -> None:
    places = [("redis", "10.1.2.3:6379"), ("mongo", "8.8.8.8:27017"), ("kafka", "[2606:4700::1]:9092")]
    found = judge_exposure(places)
    assert (found.check, found.state) == ("exposed ports", "failed")
    assert "8.8.8.8:27017" in found.detail
    assert "[2606:4700::1]:9092" in found.detail
    assert "10.1.2.3" not in found.detail
    assert judge_exposure(places[:1]).state == "ok"
    assert "RAY_AUTH_MODE=token" in judge_exposure([("ray", "8.8.8.8:6379")]).fix


def test_an_address_keeps_its_port() -> None:
    assert place_of("http://127.0.0.1:0") == ("127.0.0.1", 0)
    assert place_of("https://fcm.googleapis.com") == ("fcm.googleapis.com", 443)
    assert place_of("http://[::1]:8080/x") == ("::1", 8080)


def test_roles_that_do_not_run_and_releases_that_differ() -> None:
    rows = [
        {"name": "host-1", "state": "running", "release": "0.1.0", "version": 7},
        {"name": "gateway-1", "state": "running", "version": "0.1.0"},
        {"name": "coordinator", "state": "running", "version": 7},
    ]
    assert wrong(judge_roles(rows, "0.1.0", "/logs")) == []
    [(check, state, fix)] = wrong(judge_roles(rows, "0.2.0", "/logs"))
    assert (check, state) == ("releases", "failed")
    assert "Install roost 0.2.0 on every node" in fix
    [(check, state, fix)] = wrong(judge_roles([rows[0] | {"state": "silent"}], "0.1.0", "/logs"))
    assert (check, state) == ("roles", "failed")
    assert "/logs" in fix


def test_the_last_line_says_what_to_do_next() -> None:
    well = ok("disk", "2 GiB")
    odd = Finding("open files", "warning", "1024", "Raise it.")
    bad = Finding("redis", "failed", "gone", "Start it.")
    assert shown([well]).endswith("roost up; or it runs: roost status")
    assert shown([well, odd]).endswith("Nothing failed; 1 to look at. It can be started: roost up")
    assert shown([well], " --data /srv/roost").endswith("roost status --data /srv/roost")
    assert "1 failed, 1 to look at" in shown([well, odd, bad]).splitlines()[-1]
    assert shown([bad]).splitlines()[:2] == ["failed   redis  gone", "                -> Start it."]
