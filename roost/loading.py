"""Loads libraries without what they would load only because it is installed, too."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """What is loaded inside the block finds these packages not installed, unless they are loaded already.

    Args:
        packages: Names of top-level packages that the library can do without.
    """
    hidden = [name for name in packages if name not in sys.modules]
    # This is how Python itself marks a module that cannot be imported.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
