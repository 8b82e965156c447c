"""Completion of paths that are typed."""

import os
from pathlib import Path
from typing import Final

_MOST: Final = 200


def completions(typed: str, *, folders: bool = False) -> list[str]:
    """Return what a path that was begun may become, sorted; folders end with a slash.

    Hidden files are offered only if the name was begun with a dot.

    Args:
        typed: The beginning, perhaps with ``~``.
        folders: Offer folders only.
    """
    head, _, begun = typed.rpartition("/")
    base = head + "/" if "/" in typed else ""
    try:
        with os.scandir(Path(base or ".").expanduser()) as found:
            names = sorted(
                each.name + ("/" if each.is_dir() else "")
                for each in found
                if each.name.startswith(begun)
                and (begun.startswith(".") or not each.name.startswith("."))
                and (not folders or each.is_dir())
            )
    except (OSError, ValueError, RuntimeError):  # there is no such folder, or no home: nothing to offer
        return []
    return [base + name for name in names[:_MOST]]


def completed(typed: str, *, folders: bool = False) -> str:
    """Return the path as far as it can be told from its beginning."""
    return os.path.commonprefix(completions(typed, folders=folders)) or typed  # noqa: RUF071 -- a part of a name


def path_of(typed: str) -> Path:
    """Return the path that was typed.

    Raises:
        ValueError: There is no such user, or no home folder.
    """
    try:
        return Path(typed.strip() or ".").expanduser()
    except RuntimeError as exc:
        raise ValueError(str(exc)) from exc
