"""Operators' questions to roles: the coordinator passes them on, since only it reaches every role."""

from typing import Any, NamedTuple

from api.control_plane import ControlPlane
from roost.errors import RoostError, Unavailable


class Told(NamedTuple):
    """What roles said, by name, and why the others said nothing."""

    answers: dict[str, Any]
    away: dict[str, str]


async def ask(control_plane: ControlPlane, of: str, say: dict[str, Any]) -> Told:
    """Ask one role by its name, or all of a kind.

    Raises:
        Unavailable: The coordinator does not answer.
    """
    told = await control_plane.tell({"act": "ask", "of": of, "say": say})
    return Told(told["answers"], told["away"])


async def ask_one(control_plane: ControlPlane, name: str, say: dict[str, Any]) -> Any:
    """Ask the role of this name; the coordinator is asked itself.

    Raises:
        RoostError: ``not_found``: there is no such role.
        Unavailable: It does not answer, or the coordinator does not.
    """
    if name == "coordinator":
        return await control_plane.tell(say)
    told = await ask(control_plane, name, say)
    if name in told.answers:
        return told.answers[name]
    if name in told.away:
        raise Unavailable(f"{name} does not answer: {told.away[name]}")
    raise RoostError("not_found", f"There is no role {name[:64]!r}.")
