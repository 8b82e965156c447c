"""Loads libraries without what they would load only because it is installed, or may need some day."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """What is loaded inside the block finds these packages not installed, unless they are loaded already.

    Args:
        packages: Names of packages that the library can do without.
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
    """Have these packages, unless they are loaded already, loaded by the first use of anything in them.

    For what a library imports as a whole at its top, and uses in functions that are not called here.
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
