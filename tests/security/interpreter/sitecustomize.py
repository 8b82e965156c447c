"""Has modules of ours loaded with other text, in every Python that starts with this folder on its path.

Python imports a module of this name at its start, so what a test starts (a system, and the roles that Ray
starts for it) has the same text as the test. No file of ours is touched, and nothing compiled from another
text is kept.
"""

import json
import os
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, Final

CHANGED: Final = "UNGUARDED"
"""Variable that names a file of JSON: the path of each changed module, and its text."""


def load_instead(texts: Mapping[str, str]) -> None:
    """Have the modules at these paths loaded with these texts."""
    changed = {path: text.encode() for path, text in texts.items()}
    get_data, path_stats = SourceFileLoader.get_data, SourceFileLoader.path_stats

    def data(self: SourceFileLoader, path: str) -> bytes:
        return changed[path] if path in changed else get_data(self, path)

    def stats(self: SourceFileLoader, path: str) -> Mapping[str, Any]:
        if path in changed:
            raise OSError("what is compiled from this source is neither read nor kept")
        return path_stats(self, path)

    SourceFileLoader.get_data = data  # type: ignore[method-assign]
    SourceFileLoader.path_stats = stats  # type: ignore[method-assign]


if CHANGED in os.environ:  # noqa: TID251 -- the only way into a process that somebody else starts
    load_instead(json.loads(Path(os.environ[CHANGED]).read_text(encoding="utf-8")))  # noqa: TID251
