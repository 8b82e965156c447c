"""Exceptions that carry a code of the registry."""

from typing import Any

from roost.codes import CODES, Code


class RoostError(Exception):
    """An error that is answered as a problem document.

    Attributes:
        code: Entry of the registry.
        detail: One sentence: what happened and what to do.
        retry_after_s: Seconds to wait before trying again, where that helps.
        extra: Further members of the problem document, for example ``missing`` and ``extra``.
    """

    def __init__(self, word: str, detail: str, *, retry_after_s: float | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.code: Code = CODES[word]
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra = extra


class Unavailable(RoostError):  # noqa: N818 - the contract's word
    """A dependency cannot be reached; whether the last call took effect is unknown.

    Drivers' own exceptions become this one, in the adapter, with ``from exc``.
    """

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__("unavailable", detail, retry_after_s=retry_after_s)
