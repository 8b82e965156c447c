"""A push token that is registered while its user's actor is not in memory: what waits is pushed for."""

from actors.host import HostSettings
from tests.integration.api_world import Urls, running
from tests.integration.test_api_poll_gone import wakeups
from tests.live.waiting import until


async def test_a_token_is_pushed_for_what_waits(mongo_url: str, redis_url: str) -> None:
    host = HostSettings(idle_ms=1, sweep_every_s=0.05)
    async with running(Urls(mongo_url, redis_url), host=host) as world:
        ann, bob = await world.person(), await world.person()
        _, accepted = await ann.send(bob)
        await bob.receive(accepted["seq"])

        def absent() -> str:
            return "the actor is there" if any(world.host._residents.actors()) else ""

        await until(absent, within=10)
        await bob.call("PUT", "/v1/devices/current/push", {"provider": "fcm", "token": "t"}, expect=204)
        [wakeup] = await wakeups(world)
        assert (wakeup.device, wakeup.fresh) == (bob.device, True)
