"""Other sides of links."""

from typing import Any


class Silent:
    """A side that only takes what is sent to it."""

    def opened(self, link: Any) -> None: ...
    def received(self, link: Any, messages: list[Any]) -> None: ...
    def closed(self, link: Any) -> None: ...
