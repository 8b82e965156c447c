"""What pyproject.toml promises to be there: each verb and each role."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

PROMISED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "entry-points"
]
VERBS, ROLES, ADMIN = (PROMISED[f"roost.{group}"] for group in ("commands", "roles", "admin"))


def test_no_verb_and_no_role_got_lost() -> None:
    assert {"up", "down", "status", "scale", "drain", "upgrade", "doctor", "config", "sim"} <= VERBS.keys()
    assert {"create-user", "grant", "revoke", "audit"} <= ADMIN.keys()
    assert ROLES.keys() == {"gateway", "router", "host", "pusher", "coordinator"}


@pytest.mark.parametrize("where", [*VERBS.values(), *ROLES.values(), *ADMIN.values()])
def test_named_objects_exist(where: str) -> None:
    module, _, name = where.partition(":")
    assert callable(
        getattr(getattr(import_module(module), name), "run", getattr(import_module(module), name))
    )
