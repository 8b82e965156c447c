"""The operators' side of the API's world: a control plane that reaches the roles of this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from api.identity.limits import Limit
from tests.integration.api_world import Person, Urls, World, running


class Reach:
    """Passes questions on as the coordinator does; everything else has no answer.

    Attributes:
        world: Whose roles these are.
        away: Names of roles that do not answer.
    """

    def __init__(self) -> None:
        self.world: World | None = None
        self.away: set[str] = set()

    async def status(self) -> dict[str, Any]:
        raise AssertionError("It is not asked for.")

    async def tell(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self.world is not None
        assert message["act"] == "ask", message
        services: dict[str, Any] = {"host-0": self.world.host}
        services |= {f"gateway-{number}": each for number, each in enumerate(self.world.gateways)}
        asked = [name for name in services if message["of"] in (name, name.split("-")[0])]
        there = [name for name in asked if name not in self.away]
        return {
            "answers": {name: await services[name].tell(message["say"]) for name in there},
            "away": {name: "it does not run" for name in asked if name in self.away},
        }


@asynccontextmanager
async def operated(urls: Urls, reach: Reach, limits: dict[str, Limit] | None = None) -> AsyncIterator[World]:
    """Run a world of two gateways with this control plane."""
    async with running(urls, gateways=2, control_plane=reach, limits=limits) as world:
        reach.world = world
        yield world


async def operator_of(world: World, scope: str = "admin") -> Person:
    """Return someone with the scope."""
    person = await world.person(keys=False)
    await world.store.accounts.set_scope(person.tokens["user_id"], scope, granted=True)
    return await person.log_in(person.device)


async def acts(world: World, operator: Person) -> list[tuple[str, str, str]]:
    """Return what of the operator is in the audit log."""
    entries = await world.store.audit.entries()
    mine = [each for each in entries if each.actor == f"user:{operator.username}"]
    return [(each.act, each.target, each.outcome) for each in mine]
