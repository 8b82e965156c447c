"""This release and the one after it, as copies that a system can be started from.

The next release is made here: a copy of this one whose messages have one field more and another version, as
the rule in `storage.records` allows.
"""

import shutil
from pathlib import Path
from typing import Final

PACKAGES: Final = ("roost", "telemetry", "storage", "actors", "cluster", "api")
ROOT: Final = Path(__file__).parents[2]

CHANGES: Final = {
    "storage/records.py": [
        ("VERSION = 1\n", "VERSION = 2\n"),
        (
            '    silent: bool = False\n    own: bytes = b""\n',
            "    silent: bool = False\n    own: bytes = b''\n    colour: str = ''\n",
        ),
    ],
    "api/sending/send_request.py": [
        (
            "(frame, now_ms),\n            version=version,\n",
            "(frame, now_ms),\n            version=version,\n            colour='b' * (version > 1),\n",
        )
    ],
}


class Installation:
    """A folder that is a link to one of the two.

    Attributes:
        path: The link.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "installed"
        self._next = folder / "then"
        self.path.symlink_to(_copied(folder / "now"))

    def replace(self) -> None:
        """Put the next release in the place of this one."""
        _copied(self._next)
        for name, changes in CHANGES.items():
            file = self._next / name
            text = file.read_text()
            for before, after in changes:
                assert text.count(before) == 1, f"{name} has changed: {before}"
                text = text.replace(before, after)
            file.write_text(text)
        self.path.unlink()
        self.path.symlink_to(self._next)


def _copied(folder: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
