"""Passwords that everybody tries first."""

from functools import cache
from importlib import resources


@cache
def _common() -> frozenset[str]:
    """Read the list: the 11,611 passwords of eight characters and more among the 30,000 most frequent ones.

    Source: the frequency list of zxcvbn 4.5 (MIT licence, Dan Wheeler and Dropbox), made of leaked passwords.
    """
    text = resources.files(__package__ or "").joinpath("common_passwords.txt").read_text("ascii")
    return frozenset(text.split())


def is_common(password: str, username: str) -> bool:
    """Return whether a password is on the list, or is the username or repeats it, in any case."""
    plain, name = password.casefold(), username.casefold()
    return plain in _common() or not plain.replace(name, "")
