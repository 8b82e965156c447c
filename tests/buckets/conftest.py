"""Buckets on real servers, one of each kind for the session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.buckets.servers import MAKERS, Bucket
from tests.certificates import Issued
from tests.real_servers import Servers

Made = Callable[[str], Bucket]


@pytest.fixture(scope="session")
def made(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the bucket of a kind; its server speaks TLS, and is started at the first time."""
    folder = tmp_path_factory.mktemp("buckets")
    issued, running = Issued(folder / "certs"), dict[str, Bucket]()

    def bucket_of(kind: str) -> Bucket:
        if kind not in running:
            running[kind] = MAKERS[kind](servers, folder, issued)
        return running[kind]

    return bucket_of


@pytest.fixture(params=MAKERS)
def bucket(request: pytest.FixtureRequest, made: Made) -> Bucket:
    """A bucket of each kind."""
    return made(request.param)


@pytest.fixture
def checking(made: Made) -> list[Bucket]:
    """The buckets whose servers check who signs in; fake-gcs-server takes everyone."""
    return [made("s3"), made("azure")]


@pytest.fixture
def s3(made: Made) -> Bucket:
    return made("s3")


@pytest.fixture(scope="session")
def plain_s3(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """A bucket that is reached without TLS, so that something can stand between."""
    folder: Path = tmp_path_factory.mktemp("plain")
    return MAKERS["s3"](servers, folder, None)
