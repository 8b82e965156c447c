"""Lean imports: load a library without its optional dependencies, or only on first use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Hide these packages from imports inside the block, unless they are loaded already.

    Args:
        packages: Names of packages that the library does not need.
    """
    hidden = [name for name in packages if name not in sys.modules]
    # This is how Python itself marks a module that cannot be imported.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def later(*packages: str) -> None:
    """Load these packages only when something in them is first used.

    For packages that a library imports at its top and uses only in functions that are never called here.
    """
    for name in packages:
        if name not in sys.modules and (spec := find_spec(name)) is not None:
            sys.modules[name] = module = _Later(name)
            module.__spec__ = spec


class _Later(ModuleType):
    """A package that is not loaded yet."""

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name__
        if sys.modules.get(name) is self:
            del sys.modules[name]
        loaded = import_module(name)
        self.__dict__.update(loaded.__dict__)
        return getattr(loaded, attribute)
