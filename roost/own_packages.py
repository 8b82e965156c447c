"""Our packages first: a program of ours runs ours, whatever else is called ``api`` or ``storage``.

The current folder and those of ``PYTHONPATH`` come before what is installed, and our packages have names that
many projects have, too. For programs only: who imports the client library gets their own ``api``.

Run as ``python -P own_packages.py MODULE ARGUMENTS`` it runs the module as a program of ours.
"""

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

_NAMES: Final = frozenset(("roost", "telemetry", "storage", "actors", "cluster", "api", "sim"))
_ROOT: Final = str(Path(__file__).parent.parent)


class _OwnFirst(MetaPathFinder):
    """Finds our packages beside this one, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the package is, None for what is not ours."""
        return (
            PathFinder.find_spec(fullname, [_ROOT], target) if path is None and fullname in _NAMES else None
        )


def prefer_own() -> None:
    """Have this process import our packages from beside this one. Idempotent."""
    if not any(isinstance(each, _OwnFirst) for each in sys.meta_path):
        sys.meta_path.insert(0, _OwnFirst())


def program(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours as a program."""
    return (sys.executable, "-P", __file__, module)


if __name__ == "__main__":
    del sys.argv[0]
    prefer_own()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
