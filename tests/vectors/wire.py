"""Vectors of the wire: the registry of codes, and server frames as they are decoded."""

from typing import Any

from roost.client.transport.stream import _WORDS
from roost.codes import CODES


def vectors() -> dict[str, Any]:
    """Return what a client knows of the codes."""
    return {
        "retry": {code.word: code.retry for code in CODES.values()},
        "titles": {code.word: code.title for code in CODES.values()},
        "close": {str(number): word for number, word in sorted(_WORDS.items())},
    }
