"""Standard streams that can be used whoever started the program: closed, abandoned or of ASCII only."""

import io
import os
import sys
from typing import Final, TextIO

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def make_usable() -> None:
    """Open those that are closed on ``/dev/null``, and have text that an encoding lacks replaced.

    A closed one is more than silent: the next file or socket would get its number, and whatever a child
    process prints would go there.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(spare, True)  # noqa: FBT003 -- the standard library's signature
    os.close(spare)
    for number, (name, mode) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def write(stream: TextIO, text: str) -> bool:
    """Write the text at once; False if no one can read it any more.

    A terminal that was closed, or a pipe whose reader is gone, must not fail the work that was to be told of.
    """
    try:
        if text:  # on a terminal that is gone, even nothing cannot be written
            stream.write(text)
        stream.flush()
    except OSError:
        abandon(stream)
        return False
    return True


def abandon(stream: TextIO) -> None:
    """Let what else is written there go nowhere, what waits in its buffer included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
