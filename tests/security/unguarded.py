"""Runs tests with one guard taken out: ``python -m tests.security.unguarded``, guards on stdin as JSON.

Each guard is taken out in a fork of this process, which has loaded the libraries and none of our own
packages: a test then takes a second. Our modules are changed as Python reads them, so that no file is
touched.
"""

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = (
    "aiohttp", "aiokafka", "fastapi", "hypothesis", "jwt", "motor", "msgspec", "nacl.bindings", "pymongo",
    "pydantic_settings", "pytest_asyncio", "redis.asyncio", "structlog", "uvicorn", "websockets",
)  # fmt: skip


class Outcomes:
    """What became of each test (a plugin of pytest)."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.passed: list[str] = []
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            (self.failed if report.when == "call" else self.broken).append(report.nodeid)
        elif report.passed and report.when == "call":
            self.passed.append(report.nodeid)


def take_out(file: str, changes: Sequence[tuple[str, str]]) -> None:
    """Have the module of this file loaded with other text.

    Args:
        file: Path below the project's root.
        changes: What stands there exactly once, and what is put in its place.
    """
    path = str(ROOT / file)
    source = Path(path).read_text(encoding="utf-8")
    for text, without in changes:
        if source.count(text) != 1:
            raise SystemExit(
                f"{file}: the guard's text is there {source.count(text)} times, not once: {text!r}"
            )
        source = source.replace(text, without)
    changed = source.encode()
    get_data, path_stats = SourceFileLoader.get_data, SourceFileLoader.path_stats

    def data(self: SourceFileLoader, name: str) -> bytes:
        return changed if name == path else get_data(self, name)

    def stats(self: SourceFileLoader, name: str) -> Mapping[str, Any]:
        if name == path:
            raise OSError("what is compiled from this source is neither read nor kept")
        return path_stats(self, name)

    SourceFileLoader.get_data = data  # type: ignore[method-assign]
    SourceFileLoader.path_stats = stats  # type: ignore[method-assign]


def run(asked: Mapping[str, Any], said: int) -> Outcomes:
    """Run one test without one guard, in this process; what it prints goes to a file."""
    os.dup2(said, 1)
    os.dup2(said, 2)
    if asked["changes"]:
        take_out(asked["file"], asked["changes"])
    outcomes = Outcomes()
    options = ["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    pytest.main([asked["test"], *options], plugins=[outcomes])
    return outcomes


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of a test without its guard, and what it said."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        child = os.fork()
        if not child:
            try:
                told.write(json.dumps(vars(run(asked, said.fileno()))).encode())
                told.flush()
            except BaseException:  # noqa: BLE001 - this process must not go on as a second server
                said.write(traceback.format_exc().encode())
                said.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        told.seek(0)
        said.seek(0)
        return json.loads(told.read() or "{}") | {"said": said.read().decode(errors="replace")[-4_000:]}


def main() -> None:
    """Answer each line with one."""
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
