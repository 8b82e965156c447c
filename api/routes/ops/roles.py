"""Roles from the inside: logs, stacks, the settings in force, ages of keys and certificates."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import With
from api.http.problems import responses
from api.http.routing import ApiRoute
from api.http.schemas.ops.roles import Ages, CertificateAge, KeyAge, LogLines, Setting, SettingList, Stacks
from api.http.scopes import Observer, Operator
from api.ops.roles import ask, ask_one
from cluster.operations.witness import Witness
from cluster.ops.questions import EVERY

router = APIRouter(route_class=ApiRoute, tags=["admin"])
_MINE = ("unauthenticated", "revoked", "forbidden", "rate_limited")
_Name = Annotated[str, Path(pattern=r"^[a-z]+(-\d{1,9})?$", description="As in `roost status`.")]


@router.get("/admin/v1/roles/{name}/log", responses=responses(*_MINE, "not_found"))
async def log(
    name: _Name,
    _caller: Observer,
    collaborators: With,
    lines: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> LogLines:
    """Return the last lines of a role's log, at most 256 KiB of them."""
    found = await ask_one(collaborators.control_plane, name, {"act": "log", "lines": lines})
    return LogLines(name=name, lines=found)


@router.post("/admin/v1/roles/{name}/stacks", responses=responses(*_MINE, "not_found"))
async def stacks(name: _Name, caller: Operator, collaborators: With) -> Stacks:
    """Return where a role's threads and tasks are, which takes it some milliseconds."""
    witness = Witness(collaborators.store.audit, collaborators.clock)
    async with witness.around(f"user:{caller.username}", "role.stacks", name):
        text = await ask_one(collaborators.control_plane, name, {"act": "stacks"})
    return Stacks(name=name, text=text)


@router.get("/admin/v1/settings", responses=responses(*_MINE))
async def settings(_caller: Observer, collaborators: With) -> SettingList:
    """Return the settings in force and where each was given, as the coordinator has them."""
    found = await ask_one(collaborators.control_plane, "coordinator", {"act": "settings"})
    return SettingList(settings=[Setting(**each) for each in found])


@router.get("/admin/v1/keys", responses=responses(*_MINE))
async def keys(_caller: Observer, collaborators: With) -> Ages:
    """Return the ages of the keys of the key ring, by their ids, and of the certificates on all machines."""
    ring = await ask_one(collaborators.control_plane, "coordinator", {"act": "keys"})
    told = await ask(collaborators.control_plane, EVERY, {"act": "certificates"})
    certificates: dict[tuple[str, int | None], CertificateAge] = {}
    for role, of_one in sorted(told.answers.items()):
        for each in of_one:
            known = certificates.setdefault(
                (each["name"], each["ends_at_ms"]), CertificateAge(**each, roles=[])
            )
            known.roles.append(role)
    return Ages(
        keys=[KeyAge(**each) for each in ring],
        certificates=list(certificates.values()),
        away=sorted(told.away),
    )
