"""A host that leaves accounts for every entry that had not been acknowledged."""

import asyncio
from typing import Any, cast

from actors.host.links.handover import Handover
from sim.deterministic.stores import Store
from storage.account_rows import Device
from storage.mailbox_rows import Cursor
from tests.unit.mailbox_world import BASE, World


def test_every_entry_of_a_handover_is_accounted_for() -> None:
    world = World()
    for number in range(1, 6):
        world.append("alice", number)
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    handover = Handover()
    handover.add("me", world.actor)
    world.store_all()
    store = Store()
    store.devices["me"] = [Device("me", "P", "phone", 0)]

    async def report(stored: set[int], cursor: int) -> dict[str, Any]:
        store.documents["me"] = {seq: each for seq, each in world.documents.items() if seq in stored}
        await store.mailboxes.put_cursors([Cursor("me", "P", cursor)])
        return await handover.report(cast("Any", store))

    all_of_them = set(world.documents)
    expected = {"before": 4, "users": 1}
    assert asyncio.run(report(all_of_them, BASE)) == expected | {"after": 4, "acknowledged": 0, "missing": 0}
    one_lost = all_of_them - {BASE + 3}
    assert asyncio.run(report(one_lost, BASE + 1)) == expected | {"after": 2, "acknowledged": 1, "missing": 1}


def test_an_acknowledged_mailbox_leaves_nothing_to_hand_over() -> None:
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    handover = Handover()
    handover.add("me", world.actor)
    assert asyncio.run(handover.report(cast("Any", Store())))["before"] == 0
