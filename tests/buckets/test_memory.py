"""What a client of a bucket holds does not grow with what passes through it."""

import asyncio
import json
import sys
from collections.abc import Callable

import pytest

from tests.buckets.servers import Bucket
from tests.security.test_large_media import MOST_MB


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mib", [128, pytest.param(1024, marks=pytest.mark.slow)])
async def test_what_passes_through_leaves_memory_as_it_was(
    bucket: Bucket, tell: Callable[..., None], mib: int
) -> None:
    given = json.dumps({"options": dict(bucket.access.options), "ca": str(bucket.access.ca)})
    program = [sys.executable, "-m", "tests.buckets.pour", bucket.url, str(mib)]
    pipe, loop = asyncio.subprocess.PIPE, asyncio.get_running_loop()
    began = loop.time()
    child = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe)
    out, _ = await child.communicate(given.encode())
    assert child.returncode == 0
    figures = json.loads(out)
    tell(f"{mib} MiB up and down", loop.time() - began)
    tell("MB before", figures["before_mb"])
    tell("most MB", figures["peak_mb"])
    assert figures["peak_mb"] < MOST_MB, figures
