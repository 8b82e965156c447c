"""A large file, up and down, while connections break and a gateway dies: in little memory, and unreadable."""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.live.running import System
from tests.live.waiting import until

MIB = 1024 * 1024
MOST_MB = 150
SERVERS = ("mongo", "kafka", "redis", "fcm")
"""Not ours, and no byte of a file passes through them."""

MARK = b"a sentence that must be nowhere but at the two ends; "


def write(path: Path, mib: int) -> str:
    """Write a file in which the sentence stands everywhere; returns its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(mib):
            block = (MARK * (MIB // len(MARK) + 1))[: MIB - 8] + number.to_bytes(8, "big")
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Memory:
    """The most that each role's process has had."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.peaks: dict[str, float] = {}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            # A spare that is being started has no pid yet, and psutil takes none for our own.
            rows = [row for row in await self._system.roles() if row["role"] not in SERVERS and row["pid"]]
            for _ in range(20):
                for row in rows:
                    with contextlib.suppress(psutil.NoSuchProcess):  # the one that is killed
                        info = psutil.Process(row["pid"]).memory_full_info()
                        name = f"{row['name']} {row['pid']}"
                        self.peaks[name] = max(self.peaks.get(name, 0), info.uss / MIB)
                await asyncio.sleep(0.2)


def size_of(kept: Path) -> int:
    found = 0
    for each in kept.rglob("*.*"):
        with contextlib.suppress(FileNotFoundError):  # drafts of the store are renamed meanwhile
            found += each.stat().st_size
    return found


async def stored(kept: Path, size: int, child: asyncio.subprocess.Process) -> str:
    assert child.returncode is None, "the program that carries it has ended"
    found = size_of(kept)
    return "" if found >= size else f"{found} bytes are stored"


def open_to_others(kept: Path) -> list[Path]:
    files = [each for each in kept.rglob("*") if each.is_file()]
    return [each for each in [*files, kept] if each.stat().st_mode & 0o077]


def look_through(kept: Path) -> None:
    """Fail if anything in the folder can be read."""
    for each in kept.rglob("*"):
        assert not each.is_file() or MARK not in each.read_bytes()


@asynccontextmanager
async def carrying(url: str, source: Path, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    program = [sys.executable, "-m", "tests.security.carry", url, str(source), str(folder)]
    child = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def carry(system: System, folder: Path, kept: Path, mib: int, tell: Callable[..., None]) -> None:
    """Carry a large file through a system, whose store is in the folder ``kept``, and look at both."""
    source, saved = folder / "large.bin", folder / "saved"
    saved.mkdir()
    digest = write(source, mib)
    memory = Memory(system)
    async with memory.watched(), carrying(system.http, source, saved) as child:
        await until(lambda: stored(kept, mib * MIB // 4, child), within=300)
        async with system.killed("gateway"):
            pass
        async with asyncio.timeout(600):
            out, _ = await child.communicate()
    assert child.returncode == 0
    figures = json.loads(out)
    assert figures["breaks"] == 6
    assert digest_of(saved / "large.bin") == digest
    tell(f"{mib} MiB up", figures["sent_s"])
    tell(f"{mib} MiB down", figures["saved_s"])
    peaks = memory.peaks | {"client": figures["peak_mb"]}
    tell("most MB in a process", max(peaks.values()))
    assert {name: peak for name, peak in peaks.items() if peak >= MOST_MB} == {}
    assert size_of(kept) >= mib * MIB
    look_through(kept)


@pytest.mark.attack("a large file makes a process grow, or is readable where it is kept")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mib", [64, pytest.param(1024, marks=pytest.mark.slow)])
async def test_a_large_file_passes_in_little_memory(
    own_system: Callable[..., System], tmp_path: Path, tell: Callable[..., None], mib: int
) -> None:
    system = await own_system("--gateways", "2").started()
    kept = system.data / "media"
    await carry(system, tmp_path, kept, mib, tell)
    assert open_to_others(kept) == []
