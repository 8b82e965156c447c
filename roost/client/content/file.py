"""A file that a message brought, and the way to get it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from roost.client.content.kinds import FileReference
from roost.client.filenames import safe_name

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are through."""


class File:
    """A file in a message that was received.

    Args:
        reference: Where it is.
        fetch: Gets it.

    Attributes:
        name: A name for it in a folder: the sender's, without what could lead elsewhere or deceive.
        size: Its bytes.
        type: Its media type, as the sender says.
    """

    __slots__ = ("_fetch", "_reference", "name", "size", "type")

    def __init__(
        self,
        reference: FileReference,
        fetch: Callable[[FileReference, Path, Progress | None], Awaitable[Path]],
    ) -> None:
        self._reference, self._fetch = reference, fetch
        self.name = safe_name(reference.name)
        self.size, self.type = reference.size, reference.type

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, size={self.size})"

    async def save(self, path: str | Path, progress: Progress | None = None) -> Path:
        """Download it; it appears under its name when all of it is there and verified.

        A connection that breaks is taken up where it broke.

        Args:
            path: A folder, in which it gets its own name, or that with a number if it is taken; or the path
                of the file, which is replaced.
            progress: Is told how far it is.

        Returns:
            Where it is.

        Raises:
            FileBroken: It is not what was sent; nothing is left of it.
            RoostError: ``unknown_media``: it is no longer there; or another answer of the server.
            Unavailable: The server cannot be reached, also after some attempts.
            OSError: It cannot be written.
        """
        return await self._fetch(self._reference, Path(path), progress)
