"""Runs tests with one guard taken out: ``python -m tests.security.unguarded``, guards on stdin as JSON.

Each guard is taken out in a fork of this process, which has loaded the libraries and none of our own
packages: a test then takes a second. Our modules are changed as Python reads them, here and in whatever
Python the tests start (`tests.security.interpreter`), so that no file is touched.
"""

import importlib
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.security.interpreter import sitecustomize

ROOT = Path(__file__).parents[2]
LIBRARIES = (
    "aiohttp", "aiokafka", "fastapi", "hypothesis", "jwt", "motor", "msgspec", "nacl.bindings", "pymongo",
    "pydantic_settings", "pytest_asyncio", "redis.asyncio", "structlog", "uvicorn", "websockets",
)  # fmt: skip

OPTIONS = (
    "-q", "-p", "no:cacheprovider",
    # Python 3.11 may fail as it parses a line for a traceback while another one is written.
    "--tb=line",
    *("-W", "ignore:Module already imported"),
    *("-W", "ignore::pytest.PytestUnraisableExceptionWarning"),  # a test that fails leaves things open
)  # fmt: skip

Change = tuple[str, str, str]
"""A file, what stands there exactly once, and what is put in its place."""


class Outcomes:
    """What became of each test (a plugin of pytest).

    A test of several rows is not run further once one has failed; none is once something around a test did.

    Args:
        tests: As asked for: the name of a test, or of one row of it.
    """

    def __init__(self, tests: Sequence[str]) -> None:
        self._tests = tests
        self.failed: list[str] = []
        self.passed: list[str] = []
        self.broken: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self._asked(item.nodeid) in self.failed or self.broken:
            pytest.skip("another row has failed, or no system starts")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            found = self.failed if report.when == "call" else self.broken
        elif report.passed and report.when == "call":
            found = self.passed
        else:
            return
        found.append(self._asked(report.nodeid))

    def _asked(self, name: str) -> str:
        return next(each for each in self._tests if name == each or name.startswith(f"{each}["))

    def all(self) -> dict[str, list[str]]:
        return {"failed": self.failed, "passed": self.passed, "broken": self.broken}


def changed(changes: Sequence[Change]) -> dict[str, str]:
    """Return the path of each module that is changed, and its text.

    Args:
        changes: Files are paths below the project's root.
    """
    texts: dict[str, str] = {}
    for file, text, without in changes:
        path = str(ROOT / file)
        source = texts.get(path) or Path(path).read_text(encoding="utf-8")
        if source.count(text) != 1:
            raise SystemExit(
                f"{file}: the guard's text is there {source.count(text)} times, not once: {text!r}"
            )
        texts[path] = source.replace(text, without)
    return texts


def take_out(changes: Sequence[Change], folder: Path) -> None:
    """Take the guard out of this process, and of every Python that it starts."""
    texts = changed(changes)
    told = folder / "changed.json"
    told.write_text(json.dumps(texts), encoding="utf-8")
    os.environ[sitecustomize.CHANGED] = str(told)  # noqa: TID251 -- what the tests start inherits it
    os.environ["PYTHONPATH"] = str(Path(sitecustomize.__file__).parent)  # noqa: TID251 -- likewise
    sitecustomize.load_instead(texts)


def run(asked: Mapping[str, Any], said: int, folder: Path) -> dict[str, list[str]]:
    """Run tests without one guard, in this process; what it prints goes to a file."""
    os.dup2(said, 1)
    os.dup2(said, 2)
    if asked["changes"]:
        take_out(asked["changes"], folder)
    outcomes = Outcomes(asked["tests"])
    pytest.main([*asked["tests"], *OPTIONS], plugins=[outcomes])
    return outcomes.all()


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of the tests of a guard without it, and what they said."""
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as told,
        tempfile.TemporaryDirectory() as folder,
    ):
        child = os.fork()
        if not child:
            try:
                told.write(json.dumps(run(asked, said.fileno(), Path(folder))).encode())
                told.flush()
            except BaseException:  # noqa: BLE001 - this process must not go on as a second server
                said.write(traceback.format_exc().encode())
                said.flush()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        told.seek(0)
        said.seek(0)
        return json.loads(told.read() or "{}") | {"said": said.read().decode(errors="replace")}


def main() -> None:
    """Answer each line with one."""
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
