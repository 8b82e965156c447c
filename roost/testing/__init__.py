"""A Roost in the process of a test, for programs on the SDK, with a clock that is moved by hand.

    async def test_echo():
        async with World() as world:
            await world.start(bot)
            user = await world.user("alice")
            await user.send("hi")
            assert await user.next() == "hi"
            await world.advance(3600)

No server runs beside the test. Gateway, router and host are the real ones, with their rules, routes,
limits and links, on loopback ports; so are the clients, with their cryptography. In place of MongoDB, Redis
and Kafka are those in memory that the deterministic runs have (`sim.deterministic`).

What is not as on a real server:

* One host, one router, one gateway and one shard, which stay: nothing fails, moves or restarts, and nothing
  survives the test.
* There is no pusher: no one is woken by a push. There is no coordinator, so operators' calls are refused.
* Passwords are hashed cheaply, and fields are not sealed in the store.
* The clock is moved, and timers with it. Let the test run on an event loop of asyncio itself, not uvloop.

`world` is the world, `user` the people, `clock` the time, `roles` and `servers` what runs.
"""

from roost.testing.user import Heard, User
from roost.testing.world import PASSWORD, World

__all__ = ["PASSWORD", "Heard", "User", "World"]
