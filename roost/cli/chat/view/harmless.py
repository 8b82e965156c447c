"""Text of others, made fit for a grid of cells: it stays within its place on the screen."""

from typing import Final

from rich.cells import cell_len, split_text

from roost.cli.shown import plain

_EMBEDDED: Final = "\u202a\u202b"
_ISOLATED: Final = "\u2066\u2067\u2068"
_ENDS: Final = {"\u202c": _EMBEDDED, "\u2069": _ISOLATED}
_CLOSE: Final = {**dict.fromkeys(_EMBEDDED, "\u202c"), **dict.fromkeys(_ISOLATED, "\u2069")}


def on_screen(text: str) -> str:
    """Return the text without what would move the cursor, each line closing the directions that it opens.

    One that is left open would turn around what stands beside the line: the frame, the time, the ticks.
    """
    return "\n".join(line + _left_open(line) for line in plain(text).split("\n"))


def shortened(text: str, cells: int) -> str:
    """Return the text likewise on one line, cut to a width between what readers see as characters."""
    line = " ".join(plain(text).split())
    if cell_len(line) > cells:
        line = split_text(line, cells - 1)[0].rstrip() + "…"
    return line + _left_open(line)


def _left_open(line: str) -> str:
    """Return what closes the directions that a line opens (UAX #9, X5a to X7)."""
    opened: list[str] = []
    for char in line:
        if char in _CLOSE:
            opened.append(char)
        elif char in _ENDS and any(each in _ENDS[char] for each in opened):
            if char == "\u2069":  # it ends the embeddings within its isolate, too
                while opened.pop() not in _ISOLATED:
                    pass
            elif opened[-1] in _EMBEDDED:
                opened.pop()
    return "".join(_CLOSE[char] for char in reversed(opened))
