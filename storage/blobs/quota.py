"""Quotas of media: how much a user may keep, and upload in a day."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from roost.errors import RoostError
from storage.blob_records import Usage

DAY_MS: Final = 24 * 3600 * 1000


class Quota(Struct, frozen=True):
    """How much.

    Attributes:
        file_bytes: Bytes of one file.
        user_bytes: Bytes that one user may keep, unfinished uploads included.
        user_files: Files, likewise.
        day_bytes: Bytes that one user may upload in 24 hours, what was deleted since included.
        day_files: Files, likewise.
        keep_ms: Life of a file from its end.
        unfinished_ms: Life of an upload that does not end.
    """

    file_bytes: int
    user_bytes: int
    user_files: int
    day_bytes: int
    day_files: int
    keep_ms: int
    unfinished_ms: int

    def check_size(self, size: int) -> None:
        """Refuse a file that is too large.

        Raises:
            RoostError: ``too_large``.
        """
        if size > self.file_bytes:
            raise RoostError("too_large", f"A file may have at most {self.file_bytes} bytes.")

    def check(self, usage: Sequence[Usage], now_ms: int) -> None:
        """Refuse if a user's rows, the newest upload's among them, are too many or too large.

        Raises:
            RoostError: ``media_quota``; or ``rate_limited`` with the time until the day's quota has room.
        """
        kept = [each.size for each in usage if each.state != "gone"]
        if len(kept) > self.user_files or sum(kept) > self.user_bytes:
            raise RoostError(
                "media_quota",
                f"At most {self.user_files} files of {self.user_bytes} bytes together are kept: delete some.",
            )
        today = sorted(
            (each.created_at_ms, each.size) for each in usage if each.created_at_ms > now_ms - DAY_MS
        )
        files, size, until_ms = len(today), sum(size for _, size in today), now_ms
        for created_at_ms, freed in today:
            if files <= self.day_files and size <= self.day_bytes:
                break
            files, size, until_ms = files - 1, size - freed, created_at_ms + DAY_MS
        if until_ms > now_ms:
            raise RoostError(
                "rate_limited",
                f"At most {self.day_files} files of {self.day_bytes} bytes together are taken in 24 hours.",
                retry_after_s=(until_ms - now_ms) / 1000,
            )
