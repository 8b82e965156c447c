"""Bodies of the calls about roles, settings, keys and certificates."""

from typing import Any, Literal

from pydantic import BaseModel

from api.http.schemas.base import Millis, model


class LogLines(BaseModel):
    """The last lines of a role's log, as they are in its file: JSON, one object a line."""

    model_config = model(name="host-1", lines=['{"role": "host", "name": "host-1", "event": "link_opened"}'])
    name: str
    lines: list[str]


class Stacks(BaseModel):
    """Where a role's threads and tasks are, without the values of any variable."""

    model_config = model(name="host-1", text="thread MainThread\n  File ...")
    name: str
    text: str


class Setting(BaseModel):
    """A setting in force; `start`: no one gave it, it was found at the start. Secrets are masked."""

    model_config = model(name="http.port", value=8080, source="environment")
    name: str
    value: Any
    source: Literal["default", "file", "environment", "argument", "start"]


class SettingList(BaseModel):
    """All settings, in the order of the reference."""

    settings: list[Setting]


class KeyAge(BaseModel):
    """A key of the key ring by its id, never itself; `ends_at_ms` null: it has no end yet."""

    model_config = model(
        id="k1f3",
        kind="key",
        purpose="token",
        state="active",
        made_at_ms=1_795_000_000_000,
        used_from_ms=1_795_000_005_000,
        ends_at_ms=None,
    )
    id: str
    kind: Literal["key"]
    purpose: str
    state: str
    made_at_ms: Millis
    used_from_ms: Millis
    ends_at_ms: Millis | None


class CertificateAge(BaseModel):
    """A certificate of the settings, as the roles of a machine find it."""

    model_config = model(
        name="node.crt",
        kind="certificate",
        purpose="node",
        state="valid",
        made_at_ms=1_795_000_000_000,
        ends_at_ms=1_826_536_000_000,
        roles=["gateway-1", "host-1"],
    )
    name: str
    kind: Literal["certificate"]
    purpose: str
    state: str
    made_at_ms: Millis | None
    ends_at_ms: Millis | None
    roles: list[str]


class Ages(BaseModel):
    """Ages of keys and certificates; `away` are roles that did not say."""

    keys: list[KeyAge]
    certificates: list[CertificateAge]
    away: list[str]
