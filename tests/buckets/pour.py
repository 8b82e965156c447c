"""A program that puts so many parts into a bucket, gets them back, and tells how much memory that took.

    python -m tests.buckets.pour URL MIB < ACCESS

Takes the access as one JSON object, ``options`` and ``ca``; prints one: ``before_mb`` and ``peak_mb``.
"""

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

from sim.run.memory import peak_mb
from storage.access import BucketAccess
from storage.blobs import StoredObjects

_AT_ONCE = 8
_PART = 1024 * 1024


async def pour(objects: StoredObjects, mib: int) -> dict[str, float]:
    await objects.put("first/0", b"x")
    before_mb, data, places = peak_mb(), secrets.token_bytes(_PART), iter(range(mib))

    async def some() -> None:
        for place in places:
            await objects.put(f"pour/{place}", data)
            if await objects.get(f"pour/{place}") != data:
                raise ValueError(f"part {place} came back as another")

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    await objects.clear("pour")
    return {"before_mb": before_mb, "peak_mb": peak_mb()}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    access = BucketAccess(given["options"], Path(given["ca"]))
    print(json.dumps(asyncio.run(pour(StoredObjects(sys.argv[1], access), int(sys.argv[2])))), flush=True)  # noqa: T201
    os._exit(
        0
    )  # obstore's threads, still busy with the last parts, can abort an interpreter that ends under them
