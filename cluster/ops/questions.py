"""Questions of operators to roles, which only the coordinator reaches: passed on, and answered together."""

import asyncio
from typing import Any, Final

from actors.ray_actor import RoleAway, RoleFailed
from cluster.supervision.roles import Roles
from cluster.supervision.supervisor import Supervisor

EVERY: Final = "*"
"""Every role but the coordinator."""

_ANSWER_S: Final = 5.0


class Questions:
    """Asks one role by its name, or all of a kind at once."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    async def ask(self, of: str, say: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return ``answers`` by the name of the role, and as ``away`` why the others gave none.

        Args:
            of: A name, as ``host-1``, a kind, as ``host``, or `EVERY`; of none of it there is no answer.
            say: What each is told.
        """
        asked = [each for each in self._roles.supervisors.values() if of in (each.name, each.role, EVERY)]
        told = await asyncio.gather(*(self._tell(each, say) for each in asked))
        answers = {each.name: answer for each, (answer, _) in zip(asked, told, strict=True)}
        away = {each.name: why for each, (_, why) in zip(asked, told, strict=True) if why}
        return {"answers": {name: answers[name] for name in answers if name not in away}, "away": away}

    async def _tell(self, role: Supervisor, say: dict[str, Any]) -> tuple[Any, str]:
        if not self._roles.running(role):
            return None, "it does not run"
        try:
            return await role.handle.tell(say, _ANSWER_S), ""
        except (RoleAway, RoleFailed) as exc:
            return None, str(getattr(exc, "detail", exc))
