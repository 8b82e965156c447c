"""What any role tells an operator of itself."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from actors.service import Service
from cluster.role_shell.inspection import inspected, last_lines
from cluster.settings import Settings
from roost.clock import now_ms
from roost.errors import RoostError
from storage.keyring import KeyRing, fresh_secrets
from tests.certificates import Issued


class Telling:
    """A service that takes messages."""

    heard: dict[str, Any] | None = None

    async def tell(self, message: dict[str, Any]) -> str:
        self.heard = message
        return "heard"

    def anything(self) -> str:
        return "else"


def role(service: object, data: Path = Path("data"), keyring: KeyRing | None = None) -> Any:
    return inspected(cast("Service", service), Settings(data=data), "host-1", keyring=keyring)


async def test_what_is_not_for_every_role_goes_to_the_service() -> None:
    service = Telling()
    assert await role(service).tell({"act": "hurry"}) == "heard"
    assert (service.heard, role(service).anything()) == ({"act": "hurry"}, "else")
    with pytest.raises(RoostError, match="host-1 takes no message 'hurry'"):
        await role(object()).tell({"act": "hurry"})


async def test_the_last_lines_of_the_log_come_whole_and_not_more_than_asked_for(tmp_path: Path) -> None:
    assert await role(Telling(), tmp_path).tell({"act": "log", "lines": 5}) == []
    file = tmp_path / "logs" / "host-1.log"
    file.parent.mkdir()
    file.write_text("".join(f"line {number}\n" for number in range(9)))
    assert await role(Telling(), tmp_path).tell({"act": "log", "lines": 2}) == ["line 7", "line 8"]
    assert len(last_lines(file, 100)) == 9
    file.write_text("x" * 300_000 + "\nß\n" + "y" * 262_142 + "\n")  # cut within a letter
    assert last_lines(file, 100) == ["y" * 262_142]


async def test_stacks_show_where_it_is_and_no_value() -> None:
    secret = f"a-{1 + 1}-variable"
    text = await role(Telling()).tell({"act": "stacks"})
    assert "thread MainThread" in text
    assert "test_stacks_show_where_it_is_and_no_value" in text
    assert secret not in text


async def test_certificates_are_shown_with_their_ends(tmp_path: Path) -> None:
    issued = Issued(tmp_path)
    certificate, key = issued.pair("node", "127.0.0.1")
    node = {"ca": issued.ca, "certificate": certificate, "key": key}
    settings = Settings.model_validate({"node": node})
    one = cast("Any", inspected(cast("Service", Telling()), settings, "host-1"))
    rows = {row["purpose"]: row for row in await one.tell({"act": "certificates"})}
    assert (rows["node"]["name"], rows["ca"]["name"]) == ("node.crt", "ca.crt")
    assert rows["node"]["state"] == "valid"
    assert rows["node"]["made_at_ms"] < now_ms() < rows["node"]["ends_at_ms"] < rows["ca"]["ends_at_ms"]
    certificate.write_text("damaged")
    rows = {row["purpose"]: row for row in await one.tell({"act": "certificates"})}
    assert rows["node"]["state"].startswith("it cannot be read")
    assert await role(Telling()).tell({"act": "certificates"}) == []


async def test_keys_are_shown_by_their_ages_only() -> None:
    ring = KeyRing(fresh_secrets(now_ms()))
    rows = await role(Telling(), keyring=ring).tell({"act": "keys"})
    assert {row["purpose"] for row in rows} >= {"storage", "token", "link", "vapid"}
    assert {row["state"] for row in rows} == {"active"}
    assert all(set(row) == {
        "id", "kind", "purpose", "state", "made_at_ms", "used_from_ms", "ends_at_ms",
    } for row in rows)  # fmt: skip
    with pytest.raises(RoostError, match="takes no message 'keys'"):
        await role(object()).tell({"act": "keys"})  # it was given no ring
    settings = await role(Telling()).tell({"act": "settings"})
    assert json.loads(json.dumps(settings)) == settings
