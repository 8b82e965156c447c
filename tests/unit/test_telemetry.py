"""Logging when there is no room for it."""

import json
from pathlib import Path
from typing import Any

from telemetry.logs import LogFile


class Full:
    """A file on a full disk, and then not."""

    def __init__(self, file: Any) -> None:
        self.file, self.room = file, 0

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        return int(self.file.write(data))

    def close(self) -> None:
        self.file.close()


def test_a_dropped_log_line_does_no_harm_and_is_reported_later(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    print('{"event": "first"}', file=log, flush=True)
    disk = Full(log._file)
    log._file = disk  # type: ignore[assignment]
    for _ in range(3):
        print('{"event": "lost"}', file=log, flush=True)
    disk.room = 1
    print('{"event": "second"}', file=log, flush=True)
    print('{"event": "third"}', file=log, flush=True)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line]
    assert [line["event"] for line in lines] == ["first", "log_lines_dropped", "second", "third"]
    assert lines[1]["lines"] == 3
