"""A role that is killed where there are no spares comes back as a new process.

Where there are, `test_exactly_once.py` kills a host and `test_strikes.py` a router.
"""

from collections.abc import Callable

import pytest

from tests.live.crowd import crowd
from tests.live.running import System

RATE = 60.0
SEED = 20_261_128

OwnSystem = Callable[..., System]


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_without_spares_a_new_process_comes(own_system: OwnSystem) -> None:
    system = own_system(env={"ROOST_CLUSTER__SPARES": "0"}).start()
    async with crowd(system.http, "unspared", 4, contacts=2, seed=SEED) as people:
        async with system.killed("host"):
            await people.talk(20, RATE)
        await people.settle(within=60)
        people.check()
    assert not await system.roles("spare")
    assert system.stop() == 0
