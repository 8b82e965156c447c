"""The ``Upload-Metadata`` header of tus: its form is checked, and it is dropped.

File names stand in it, which are no concern of the server.
"""

import base64
import re
from typing import Final

from roost.errors import RoostError

_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_MOST: Final = 4096


def check_metadata(text: str) -> None:
    """Refuse what has not the form ``key base64,key base64``, each key once.

    Raises:
        RoostError: ``bad_request``.
    """
    pairs = [each.strip().partition(" ") for each in text.split(",")] if text.strip() else []
    keys = {key for key, _, _ in pairs}
    try:
        for _, _, value in pairs:
            base64.b64decode(value.strip(), validate=True)
    except ValueError as exc:
        raise RoostError("bad_request", "A value of Upload-Metadata is not base64.") from exc
    if len(text) > _MOST or len(keys) != len(pairs) or not all(map(_KEY.fullmatch, keys)):
        raise RoostError("bad_request", "Upload-Metadata is not a list of keys and values.")
