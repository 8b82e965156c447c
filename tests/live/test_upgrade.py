"""A release and the one after it run side by side, role by role, while people talk.

The next release is made here: a copy of this one whose messages have one field more and another version, as
the rule in `storage.records` allows. The system is started from a folder that is a link to the one, and
upgraded after the link was turned to the other.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.live.crowd import crowd
from tests.live.running import System
from tests.live.stored import stored_messages
from tests.live.test_scaling import verb
from tests.live.waiting import until

pytestmark = [pytest.mark.timeout(280)]

PACKAGES = ("roost", "telemetry", "storage", "actors", "cluster", "api")
ROOT = Path(__file__).parents[2]
RATE = 25.0
VERSION_AT = 12
"""Place of the version in a message's record; the new field comes after it."""

CHANGES = {
    "storage/records.py": [
        ("VERSION = 1\n", "VERSION = 2\n"),
        (
            "    expires_at_ms: int | None = None\n    version: int = VERSION\n",
            "    expires_at_ms: int | None = None\n    version: int = VERSION\n    colour: str = ''\n",
        ),
    ],
    "api/sending/send_request.py": [
        (
            "expires_in_s * 1000,\n            version=version,\n",
            "expires_in_s * 1000,\n            version=version,\n            colour='b' * (version > 1),\n",
        )
    ],
}


def copied(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def next_release(folder: Path) -> Path:
    copied(folder)
    for name, changes in CHANGES.items():
        file = folder / name
        text = file.read_text()
        for before, after in changes:
            assert text.count(before) == 1, f"{name} has changed: {before}"
            text = text.replace(before, after)
        file.write_text(text)
    return folder


async def stored_versions(system: System, delivered: int) -> Counter[tuple[int, str]]:
    """Count the stored messages by their version and the new field, once as many are stored."""

    def missing() -> str:
        count = len(stored_messages(system))
        return "" if count >= delivered else f"{count} of {delivered} messages are stored"

    await until(missing, within=10)
    found: Counter[tuple[int, str]] = Counter()
    for entry in stored_messages(system):
        _, *fields = msgspec.msgpack.decode(entry.record)
        found[fields[VERSION_AT - 1], "".join(fields[VERSION_AT:])] += 1
    return found


@pytest.mark.asyncio
async def test_every_role_is_renewed_under_traffic(own_system: Callable[..., System], tmp_path: Path) -> None:
    now, then = copied(tmp_path / "now"), next_release(tmp_path / "then")
    link = tmp_path / "installed"
    link.symlink_to(now)
    counts = ("--hosts", "2", "--routers", "2", "--gateways", "2")
    system = await own_system(*counts, env={"PYTHONPATH": str(link)}).started()
    async with crowd(system.http, "renewed", 20, contacts=4, seed=20_261_124) as people:
        await people.talk(40, RATE)
        await people.settle(within=60)
        assert set(await stored_versions(system, 40)) == {(1, "")}

        link.unlink()
        link.symlink_to(then)
        talking = asyncio.create_task(people.talk(100_000, RATE))
        status, said, complaints = await verb(system, "upgrade")
        assert status == 0, complaints
        assert "coordinator restarted" in said
        assert not talking.done(), talking.exception()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await people.talk(40, RATE)
        await people.settle(within=60)
        people.check()
        await people.check_watermarks()

        versions = await stored_versions(system, people.count)
        assert versions[1, ""] > 40, "nothing was written while both releases ran"
        assert versions[2, "b"] >= 40, "the new release is not used"
        assert set(versions) == {(1, ""), (2, "b")}
        roles = {row["name"] for row in await system.roles() if row["role"] in {"host", "router", "gateway"}}
        assert roles == {"host-3", "host-4", "router-3", "router-4", "gateway-3", "gateway-4"}
    assert await asyncio.to_thread(system.stop) == 0
