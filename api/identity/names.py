"""Names that people give themselves and their devices: the Nickname profile of PRECIS, and emoji.

Source: RFC 8266, and RFC 8264 for what a character may be. The profile forbids the invisible characters that
emoji are put together with (Unicode TR 51), so those are left out of what it checks.
"""

import re
import unicodedata
from functools import cache
from itertools import pairwise

from precis_i18n import get_profile
from precis_i18n.profile import Profile

_SELECTOR, _JOINER = "\N{VARIATION SELECTOR-16}", "\N{ZERO WIDTH JOINER}"
_KEYS = frozenset("0123456789#*")
_FLAGS = re.compile("(?<=\N{WAVING BLACK FLAG})[\U000e0020-\U000e007e]+\N{CANCEL TAG}")
_SHOWS_NOTHING = frozenset(" \N{BRAILLE PATTERN BLANK}")


def nickname(text: str) -> str:
    """Return the name as it is kept: one blank between words, in Unicode's form NFKC.

    Raises:
        ValueError: Nothing of it can be seen, or it holds control characters, line ends, or marks that turn
            the direction of writing.
    """
    bare = _without_joiners(text)
    try:
        shown = str(_profile().enforce(bare))
    except UnicodeEncodeError as exc:
        raise ValueError(f"a name must consist of visible characters ({exc.reason})") from exc
    if _SHOWS_NOTHING.issuperset(shown):
        raise ValueError("a name must have a character that can be seen")
    return shown if bare == text else unicodedata.normalize("NFKC", " ".join(text.split()))


def _without_joiners(text: str) -> str:
    """Leave out what joins emoji, where there is one to join."""
    return "".join(char for before, char in pairwise(" " + _FLAGS.sub("", text)) if not _joins(before, char))


def _joins(before: str, char: str) -> bool:
    if char not in (_SELECTOR, _JOINER):
        return False
    return before == _SELECTOR or before in _KEYS or unicodedata.category(before) in ("So", "Sk")


@cache
def _profile() -> Profile:
    return get_profile("NicknameCasePreserved")
