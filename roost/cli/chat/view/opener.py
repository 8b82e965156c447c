"""Opening a file with what this machine has for it."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

_OPENERS: Final = ("xdg-open", "open")


async def open_file(path: Path) -> None:
    """Hand a file, by its whole path, to the desktop; what it opens has nothing of this terminal.

    Raises:
        ValueError: This machine has nothing to open files with.
    """
    opener = next(filter(None, map(shutil.which, _OPENERS)), None)
    if opener is None:
        raise ValueError(f"there is no program here that opens files; it is saved as {path}")
    nowhere = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        opener, path.as_uri(), stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    if await child.wait():
        raise ValueError(f"nothing here opens this file; it is saved as {path}")
