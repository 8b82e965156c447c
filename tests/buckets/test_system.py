"""A whole system whose files are in a bucket: settings, credentials, memory, and a start that is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from roost.cli.terminal import BAD_USAGE
from tests.buckets.servers import BUCKET, Bucket
from tests.live.running import System
from tests.security.test_large_media import carry


def given(folder: Path, bucket: Bucket, url: str = "") -> dict[str, str]:
    """Return the variables of a system: the address in a file, the credentials in the cloud's own."""
    options = dict(bucket.access.options)
    credentials = {
        "AWS_" + each.upper(): options.pop(each) for each in ("access_key_id", "secret_access_key")
    }
    file = folder / "options.json"
    file.touch(0o600)
    file.write_text(json.dumps(options))
    return credentials | {
        "ROOST_MEDIA__URL": url or bucket.url,
        "ROOST_MEDIA__OPTIONS_FILE": str(file),
        "ROOST_MEDIA__CA": str(bucket.access.ca),
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mib", [64, pytest.param(1024, marks=pytest.mark.slow)])
async def test_a_large_file_passes_through_a_bucket_in_little_memory(
    own_system: Callable[..., System], s3: Bucket, tmp_path: Path, tell: Callable[..., None], mib: int
) -> None:
    system = await own_system("--gateways", "2", env=given(tmp_path, s3)).started()
    await carry(system, tmp_path, s3.server.spec.log.parent / "s3" / BUCKET, mib, tell)


def test_a_start_with_a_bucket_that_is_not_there_is_refused(
    own_system: Callable[..., System], s3: Bucket, tmp_path: Path
) -> None:
    system = own_system(env=given(tmp_path, s3, "s3://not-there"))
    system.launch()
    assert system.wait() == BAD_USAGE
    assert "There is no such bucket" in system.tail()
    assert "Make it, or correct ROOST_MEDIA__URL" in system.tail()
