"""A program in a pseudo-terminal, and what stands on its screen."""

import asyncio
import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from typing import Any, Final, Self

from rich.cells import split_graphemes

from tests.live.waiting import until

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H|\x1b\[[0-9;?<>=$]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|(?P<end>[\r\n])|(?P<text>[^\x1b\r\n]+)"
)

_UNSET: Final = ("-u", "NO_COLOR", "-u", "LINES", "-u", "COLUMNS")
"""Of this process, whose readline has set the size."""


class Screen:
    """The cells of a terminal, each with all that is one character to its reader.

    Attributes:
        written: All that the program has written.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.written = ""
        self._waiting = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Begin with an empty one of this size."""
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Take what was written; the end may be a part of more."""
        self.written += text
        self._waiting += text
        at = 0
        while (token := _TOKEN.match(self._waiting, at)) is not None:
            column = self._column
            self._take(token)
            if token["text"] is not None and token.end() == len(self._waiting):
                self._column = column  # a mark may follow: it is written again then
                break
            at = token.end()
        self._waiting = self._waiting[at:]

    @property
    def lines(self) -> list[str]:
        """What stands there, row by row."""
        return ["".join(row).rstrip() for row in self._cells]

    def _take(self, token: re.Match[str]) -> None:
        if token["row"] is not None:
            self._row, self._column = int(token["row"]) - 1, int(token["column"]) - 1
        elif token["end"] == "\r":
            self._column = 0
        elif token["end"] == "\n":
            self._row += 1
        elif token["text"] is not None and self._row < self.rows:
            self._write(token["text"])

    def _write(self, text: str) -> None:
        for begin, end, width in split_graphemes(text)[0]:
            if self._column + width <= self.columns:
                place = slice(self._column, self._column + width)
                self._cells[self._row][place] = [text[begin:end], *[""] * (width - 1)]
            self._column += width


class Terminal:
    """A pseudo-terminal, and the program that runs in it.

    Args:
        arguments: The program and its arguments.
        env: Variables for it.
        columns: Width.
        rows: Height.
    """

    def __init__(
        self, arguments: list[str], env: Mapping[str, str], *, columns: int = 80, rows: int = 24
    ) -> None:
        self.screen = Screen(columns, rows)
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        variables = [f"{name}={value}" for name, value in {"TERM": "xterm-256color", **env}.items()]
        self._child = subprocess.Popen(
            ["setsid", "--ctty", "env", *_UNSET, *variables, *arguments],
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        asyncio.get_running_loop().add_reader(self._master, self._read)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._child.kill()
        await asyncio.to_thread(self._child.wait)
        os.close(self._master)
        os.close(self._slave)

    @property
    def settings(self) -> list[Any]:
        """The modes of the line, as ``stty`` shows them."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, rows: int) -> None:
        """Change its size; the program is told."""
        self.screen.resize(columns, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type at the keyboard."""
        os.write(self._master, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._child.send_signal(number)

    async def shows(self, *texts: str, within: float = 20) -> None:
        """Wait until all of these stand on the screen, each within one line."""

        def missing() -> str:
            lines = self.screen.lines
            lost = [text for text in texts if not any(text in line for line in lines)]
            return f"{lost} not shown:\n" + "\n".join(lines) if lost else ""

        await until(missing, within=within, every=0.02)

    async def ended(self, within: float = 20) -> int:
        """Return the exit code of the program."""
        await until(lambda: "" if self._child.poll() is not None else "it runs", within=within, every=0.02)
        self._read_rest()
        return int(self._child.returncode)

    def _read(self) -> None:
        self.screen.feed(self._decode(os.read(self._master, 65_536)))

    def _read_rest(self) -> None:
        """Read what was written before the end; the other side is still open, so there is no error."""
        os.set_blocking(self._master, False)
        try:
            while True:
                self._read()
        except BlockingIOError:
            os.set_blocking(self._master, True)
