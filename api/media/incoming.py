"""Bodies of uploads, on their way from the socket into the store: never held as a whole."""

import asyncio
from collections.abc import Callable

from fastapi import Request
from starlette.requests import ClientDisconnect

from api.media.transfers import TransferLimits
from roost.errors import RoostError
from storage.blobs import BlobWriter


class Broken(Exception):  # noqa: N818 -- named for what happened
    """The connection broke off; what came before is in the writer."""


async def pour(
    request: Request,
    writer: BlobWriter,
    most: int,
    pace: TransferLimits,
    still: Callable[[], None],
    taste: Callable[[bytes], None] = lambda _: None,
) -> None:
    """Write the body; the socket is read no faster than the store takes it.

    Args:
        request: Its body is read to the end.
        writer: Takes it.
        most: Bytes that the blob may have in the end.
        pace: How slow the client may be; the store's own time does not count.
        still: Raises once the client may no longer do this.
        taste: Is shown what is written.

    Raises:
        RoostError: ``too_slow``, what ``still`` raises, or ``too_large``: nothing of the surplus was written.
        Broken: The connection broke off.
    """
    loop = asyncio.get_running_loop()
    body = request.stream()
    size, spent_s = 0, 0.0
    while True:
        asked = loop.time()
        try:
            async with asyncio.timeout(pace.left_s(size, spent_s)):
                chunk = await anext(body, None)
        except TimeoutError as exc:
            raise RoostError(
                "too_slow", f"A file must arrive with at least {pace.bytes_per_s} bytes a second."
            ) from exc
        except ClientDisconnect as exc:
            raise Broken from exc
        if chunk is None:
            return
        still()
        spent_s += loop.time() - asked
        size += len(chunk)
        if writer.offset + len(chunk) > most:
            raise RoostError("too_large", f"The body goes on after the {most} bytes that this file may have.")
        taste(chunk)
        await writer.write(chunk)
