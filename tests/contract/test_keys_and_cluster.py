import asyncio
from typing import Any

import msgspec
import pytest

from cluster.control import server_name
from cluster.control.server_name import ServerNameMismatch
from storage.account_rows import CrossSignature, Device, KeySupply, StoredIdentity, User
from storage.cluster_rows import LogState, StoredRoster
from storage.mongo import MongoStore
from storage.shard_map import ShardMap

ALG = "signed_curve25519"


def one_time(*names: str, value: str = "v") -> dict[str, dict[str, Any]]:
    return {
        f"{ALG}:{name}": {"key": f"{value}-{name}", "signatures": {"@a.b:example.org": {"x": "y"}}}
        for name in names
    }


async def test_device_keys_are_uploaded_once(store: MongoStore) -> None:
    keys = {"keys": {"ed25519:D": "x"}, "signatures": {"@alice.x:example.org": {"$odd": "s"}}}
    assert await store.keys.put_device_keys("alice", "DEVICEDEVI", keys, b"k") == "unknown"
    await store.accounts.add_device(Device("alice", "DEVICEDEVI", "n", 1))
    answers = await asyncio.gather(
        *(store.keys.put_device_keys("alice", "DEVICEDEVI", keys | {"n": n}, b"k") for n in range(10))
    )
    assert sorted(answers) == ["added"] + ["conflict"] * 9
    kept = keys | {"n": answers.index("added")}
    reordered = dict(reversed(kept.items()))
    assert await store.keys.put_device_keys("alice", "DEVICEDEVI", reordered, b"k") == "unchanged"
    assert (await store.accounts.devices_of(["alice"]))["alice"][0].keys == kept


async def test_each_one_time_key_is_given_out_once(store: MongoStore) -> None:
    names = [f"K{n}" for n in range(15)]
    assert await store.keys.add_one_time_keys("alice", "DEV", one_time(*names), fallback=False)
    assert (await store.keys.supply("alice", "DEV")).one_time == {ALG: 15}
    taken = await asyncio.gather(*(store.keys.claim_one_time_key("alice", "DEV", ALG) for _ in range(20)))
    given = [each for each in taken if each]
    assert sorted(name for name, _ in given) == sorted(one_time(*names))
    assert taken.count(None) == 5
    assert dict(given) == one_time(*names)
    assert (await store.keys.supply("alice", "DEV")).one_time == {}


async def test_an_upload_repeated_after_a_claim_restores_no_key(store: MongoStore) -> None:
    await store.keys.add_one_time_keys("alice", "DEV", one_time("A", "B"), fallback=False)
    taken = await store.keys.claim_one_time_key("alice", "DEV", ALG)
    assert taken
    assert await store.keys.add_one_time_keys("alice", "DEV", one_time("A", "B"), fallback=False)
    again = await store.keys.claim_one_time_key("alice", "DEV", ALG)
    assert again
    assert again[0] != taken[0]
    assert await store.keys.claim_one_time_key("alice", "DEV", ALG) is None


async def test_key_id_with_other_bytes_is_refused_whole(store: MongoStore) -> None:
    await store.keys.add_one_time_keys("alice", "DEV", one_time("A"), fallback=False)
    other = one_time("A", value="other") | one_time("B")
    assert not await store.keys.add_one_time_keys("alice", "DEV", other, fallback=False)
    assert (await store.keys.supply("alice", "DEV")).one_time == {ALG: 1}
    taken = await store.keys.claim_one_time_key("alice", "DEV", ALG)
    assert taken == (f"{ALG}:A", one_time("A")[f"{ALG}:A"])
    assert not await store.keys.add_one_time_keys(
        "alice", "DEV", one_time("A", value="other"), fallback=False
    )


async def test_fallback_key_is_given_again_and_replaced(store: MongoStore) -> None:
    assert await store.keys.add_one_time_keys("alice", "DEV", one_time("F1"), fallback=True)
    assert (await store.keys.supply("alice", "DEV")).one_time == {}
    for _ in range(2):
        assert await store.keys.claim_one_time_key("alice", "DEV", ALG) == (
            f"{ALG}:F1",
            one_time("F1")[f"{ALG}:F1"],
        )
    await store.keys.add_one_time_keys("alice", "DEV", one_time("K"), fallback=False)
    spared = await store.keys.claim_one_time_key("alice", "DEV", ALG, fallback=True)
    assert spared == (f"{ALG}:F1", one_time("F1")[f"{ALG}:F1"])
    assert await store.keys.add_one_time_keys("alice", "DEV", one_time("F2"), fallback=True)
    claimed = [await store.keys.claim_one_time_key("alice", "DEV", ALG) for _ in range(3)]
    assert [each and each[0] for each in claimed] == [f"{ALG}:K", f"{ALG}:F2", f"{ALG}:F2"]
    await store.accounts.add_device(Device("alice", "DEV", "n", 1))
    await store.accounts.remove_device("alice", "DEV")
    assert await store.keys.claim_one_time_key("alice", "DEV", ALG) is None


async def test_one_time_keys_go_in_the_order_of_their_upload(store: MongoStore) -> None:
    first, second = ["Z", "K", "A", "M", "B"], ["Y", "C"]
    await store.keys.add_one_time_keys("alice", "DEV", one_time(*first), fallback=False)
    await store.keys.add_one_time_keys("alice", "DEV", one_time(*second), fallback=False)
    claimed = [await store.keys.claim_one_time_key("alice", "DEV", ALG) for _ in range(7)]
    assert [each and each[0] for each in claimed] == [f"{ALG}:{name}" for name in first + second]


async def test_a_fallback_key_that_was_given_out_is_used_until_another_one_comes(store: MongoStore) -> None:
    assert await store.keys.supply("alice", "DEV") == KeySupply({}, ())
    await store.keys.add_one_time_keys("alice", "DEV", one_time("K"), fallback=False)
    await store.keys.add_one_time_keys("alice", "DEV", one_time("F1"), fallback=True)
    await store.keys.claim_one_time_key("alice", "DEV", ALG)
    assert await store.keys.supply("alice", "DEV") == KeySupply({}, (ALG,))
    for _ in range(2):
        await store.keys.claim_one_time_key("alice", "DEV", ALG)
        assert await store.keys.supply("alice", "DEV") == KeySupply({}, ())
    await store.keys.add_one_time_keys("alice", "DEV", one_time("F1"), fallback=True)
    assert await store.keys.supply("alice", "DEV") == KeySupply({}, ()), "the same key is no other one"
    await store.keys.add_one_time_keys("alice", "DEV", one_time("F2"), fallback=True)
    assert await store.keys.supply("alice", "DEV") == KeySupply({}, (ALG,))


async def test_log_state(store: MongoStore) -> None:
    assert await store.cluster.log_states() == {}
    await store.cluster.put_log_states([LogState(0, 100, 5), LogState(1, 100, 7, 3, ((1, 5), (9, 12)))])
    await store.cluster.raise_stored(100, {0: 9, 1: 6, 2: 50})
    await store.cluster.raise_stored(99, {0: 1000})
    assert await store.cluster.log_states() == {
        0: LogState(0, 100, 9),
        1: LogState(1, 100, 7, 3, ((1, 5), (9, 12))),
    }
    assert await store.cluster.phase() == ""
    await store.cluster.put_phase("recreating")
    assert await store.cluster.phase() == "recreating"
    assert await store.cluster.growth() == 0
    for shards in (8, 0):
        await store.cluster.put_growth(shards)
        assert await store.cluster.growth() == shards
    assert await store.cluster.phase() == "recreating"


async def test_data_belongs_to_the_first_server_name(store: MongoStore) -> None:
    for name in ("chat.example.org", "other.example.org", "chat.example.org"):
        assert await store.cluster.claim_server_name(name) == "chat.example.org"
    await server_name.check(store.cluster, "chat.example.org")
    with pytest.raises(ServerNameMismatch, match=r"belongs to the server name chat\.example\.org"):
        await server_name.check(store.cluster, "other.example.org")


async def test_map_versions_follow_each_other(store: MongoStore) -> None:
    assert await store.cluster.shard_map() is None
    first = ShardMap(1, ("h1",), ("r1",), ("p1",))
    assert await store.cluster.put_shard_map(first)
    assert not await store.cluster.put_shard_map(first)
    assert not await store.cluster.put_shard_map(msgspec.structs.replace(first, version=3))
    rivals = [ShardMap(2, (f"h{n}",), ("r1",), ("p1",), since=(2,)) for n in range(20)]
    won = await asyncio.gather(*(store.cluster.put_shard_map(rival) for rival in rivals))
    assert sum(won) == 1
    assert await store.cluster.shard_map() == rivals[won.index(True)]


async def test_the_roster_is_replaced_whole(store: MongoStore) -> None:
    assert await store.cluster.roster() is None
    for roster in (
        StoredRoster({"host": 1, "router": 1}, ("host-1", "router-1"), ("node",)),
        StoredRoster({"host": 2}, ("host-1", "host-2")),
    ):
        await store.cluster.put_roster(roster)
        assert await store.cluster.roster() == roster


@pytest.mark.attack("have two devices make two identities at once", "the first one stays")
async def test_of_identities_put_at_once_one_is_stored(store: MongoStore) -> None:
    first, *others = (StoredIdentity({"n": n, "keys": {"ed25519:a+/": "b"}}, {}) for n in range(10))
    assert not await store.keys.put_identity("alice", first, None)  # there is no such account
    await store.accounts.add_user(User("alice", "alice", "h", "Alice", 1))
    # An account of a release before has no such field.
    await store.accounts._users.update({"_id": "alice"}, {"$unset": {"identity": ""}})
    assert (await store.accounts.users_by_id(["alice"]))["alice"].identity is None
    answers = await asyncio.gather(*(store.keys.put_identity("alice", each, None) for each in others))
    assert answers.count(True) == 1
    winner = others[answers.index(True)]
    stored = await store.accounts.user_by_name("alice", opened=False)
    assert stored is not None
    assert stored.identity == winner
    assert not await store.keys.put_identity("alice", first, first)
    assert await store.keys.put_identity("alice", first, winner)
    assert (await store.accounts.users_by_id(["alice"]))["alice"].identity == first


async def test_a_signature_is_stored_under_the_devices_that_there_are(store: MongoStore) -> None:
    await store.accounts.add_device(Device("alice", "DEVICEDEVI", "n", 1))
    signature = CrossSignature("ed25519:a+/", "c2ln")
    await store.keys.put_signatures("alice", {"DEVICEDEVI": signature, "GONE": signature})
    (device,) = (await store.accounts.devices_of(["alice"]))["alice"]
    assert device.cross_signature == signature
