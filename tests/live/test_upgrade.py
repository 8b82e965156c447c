"""A release and the one after it run side by side, role by role, while people talk.

The system is started from a folder that is a link to the one, and upgraded after the link was turned to the
other.
"""

import asyncio
from collections import Counter

import msgspec
import pytest

from storage.records import MessageRecord
from tests.live.crowd import crowd
from tests.live.release import Installation
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.test_scaling import verb
from tests.live.waiting import until

pytestmark = [pytest.mark.timeout(280)]

RATE = 25.0
FIELDS = MessageRecord.__struct_fields__
"""Of a message's record; the new release has one more."""


async def stored_versions(system: System, delivered: int) -> Counter[tuple[int, str]]:
    """Count the stored messages by their version and the new field, once as many are stored."""

    def missing() -> str:
        count = len(stored_messages(system))
        return "" if count >= delivered else f"{count} of {delivered} messages are stored"

    await until(missing, within=10)
    found: Counter[tuple[int, str]] = Counter()
    for entry in stored_messages(system):
        _, *fields = msgspec.msgpack.decode(entry.record)
        found[fields[FIELDS.index("version")], "".join(fields[len(FIELDS) :])] += 1
    return found


@pytest.mark.asyncio
async def test_every_role_is_renewed_under_traffic(watched: System, installation: Installation) -> None:
    system, before = watched, len(stored_messages(watched))
    async with crowd(system.http, "renewed", 20, contacts=4, seed=20_261_124) as people:
        await people.talk(40, RATE)
        await people.settle(within=60)
        assert set(await stored_versions(system, before + 40)) == {(1, "")}

        installation.replace()
        talking = asyncio.create_task(people.talk(100_000, RATE))
        status, said, complaints = await verb(system, "upgrade")
        assert status == 0, complaints
        assert "coordinator restarted" in said
        assert not talking.done(), talking.exception()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await people.talk(40, RATE)
        await people.settle(within=60)
        people.check()
        await people.check_watermarks()

        versions = await stored_versions(system, before + people.count)
        assert versions[1, ""] > 40, "nothing was written while both releases ran"
        assert versions[2, "b"] >= 40, "the new release is not used"
        assert set(versions) == {(1, ""), (2, "b")}
        roles = {row["name"] for row in await system.roles() if row["role"] in {"host", "router", "gateway"}}
        assert roles == {"host-3", "host-4", "router-3", "router-4", "gateway-3", "gateway-4"}
    assert await asyncio.to_thread(system.stop) == 0
