"""Log lines: JSON, one file for each role, or stderr."""

import io
import logging
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_DRIVERS = '{"level": "%(levelname)s", "event": "driver_log", "logger": "%(name)s", "text": "%(message)s"}'


def configure(level: str, role: str, name: str, folder: Path | None) -> None:
    """Send every log line of this process to ``folder/NAME.log``, or to stderr without a folder.

    Tracebacks carry no local variables: a token or a body could be among them.
    """
    stream = sys.stderr if folder is None else _open(folder / f"{name}.log")
    structlog.configure(
        processors=[
            _bound(role, name),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Drivers log through the standard library: warnings and worse go to the same place.
    logging.basicConfig(
        stream=stream, level=max(_LEVELS[level], logging.WARNING), format=_DRIVERS, force=True
    )


def _bound(role: str, name: str) -> Processor:
    """Return what puts the role into every line, whichever task writes it."""

    def bind(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"role": role, "name": name, **event}

    return bind


class LogFile(io.TextIOBase):
    """Takes lines, also when the disk is full: whoever logs that has better to do than to fail at it.

    Lines that find no room are counted, and the number is written before the next line that does.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._dropped = 0

    def write(self, text: str) -> int:
        """Write it at once, or count it as dropped."""
        data = text.encode()
        if self._dropped:
            data = b'\n{"event": "log_lines_dropped", "lines": %d}\n' % self._dropped + data
        try:
            whole = self._file.write(data) == len(data)
        except OSError:
            whole = False
        self._dropped = 0 if whole else self._dropped + text.count("\n")
        return len(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast("TextIO", LogFile(path))
