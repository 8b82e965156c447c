"""Environment variables for libraries. Apart from `cluster.settings`, which takes 0.25 s to load."""

import os
from collections.abc import Mapping


def set_for_libraries(variables: Mapping[str, str]) -> None:
    """Set variables that a library reads from the environment, before it is first used."""
    os.environ.update(variables)  # noqa: TID251 -- this and `cluster.settings` are the files that may
