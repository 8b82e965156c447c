"""The harness on the real roles, whose mailboxes keep little and are full soon."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.host.upkeep.eraser import ErasureSettings
from actors.host.upkeep.sweep_rules import Keep
from actors.host.upkeep.sweeper import SweepSettings
from actors.user.quota import UNBOUNDED, Budget, Quotas
from roost.clock import now_ms
from roost.testing.roles import API, PROMPT, start
from sim.faults.system import attached
from sim.limits import Limits
from sim.run.conductor import Conductor, Run, run_name
from sim.run.spec import Spec

LIMITS = Limits(entry_s=4, delivered_s=3, device_s=8, kept=60, waiting=6)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    keep = Keep(
        round(LIMITS.entry_s * 1000),
        round(LIMITS.delivered_s * 1000),
        LIMITS.kept,
        0,
        round(LIMITS.device_s * 1000),
    )
    settings = replace(
        PROMPT,
        quotas=Quotas(mailbox=Budget(LIMITS.waiting, UNBOUNDED)),
        sweep=SweepSettings(keep, pause_s=0.001, every_s=0.2, expired_every_s=0.2),
        erasure=ErasureSettings(every_s=0.5, settle_ms=500),
    )
    async with AsyncExitStack() as stack:
        address, _ = await start(now_ms, stack, settings, replace(API, access_ttl_s=4, erase_after_s=0))
        yield address


async def play(url: str, folder: Path, *, duration_s: float = 8.0) -> Run:
    spec = Spec(
        server=url, fcm="", folder=str(folder), name=run_name(), users=16, rate=15.0, duration_s=duration_s,
        seed=3, scenario="retention", devices=0.2, polls=0.2, settle_s=2.0, limits=LIMITS,
    )  # fmt: skip
    async with attached(url) as found:
        return await Conductor(found, spec, [], lambda *_: None).conduct()


async def test_a_run_whose_mailboxes_keep_little_holds(url: str, tmp_path: Path) -> None:
    run = await play(url, tmp_path)
    totals = run.verdict.totals
    assert run.verdict.holds, (run.verdict.broken, [(s.title, s.lines) for s in run.verdict.stories])
    assert min(totals.swept, totals.disappeared, totals.refused, totals.exported, totals.erased) > 0
