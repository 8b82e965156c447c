"""One cluster for the tests of a file; they run in their order, and each finds what the one before left."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.begun import begun
from tests.cluster.cluster import Cluster
from tests.cluster.telling import fresh

_FIRST: Final = ("host-1", "host-2", "host-3")


@pytest.fixture(scope="session")
def out() -> Path:
    return fresh()


@pytest.fixture(scope="module")
def three_hosts(out: Path) -> Iterator[Cluster]:
    """Three hosts, Ray on them by ``ray up``, and the system on that by ``roost up``."""
    with begun(out, _FIRST) as cluster:
        yield cluster
