"""A dict that notes which of its keys were set or removed."""

from typing import Any, Self, TypeVar

V = TypeVar("V")


class Noted(dict[str, V]):
    """Values by name; ``touched`` has the names that were set or removed since it was last cleared.

    Who changes a value in its place sets it once more.
    """

    def __init__(self, members: dict[str, V]) -> None:
        super().__init__(members)
        self.touched: set[str] = set()

    def __setitem__(self, key: str, value: V) -> None:
        super().__setitem__(key, value)
        self.touched.add(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self.touched.add(key)

    def __ior__(self, others: Any) -> Self:  # type: ignore[misc,override]
        self.update(others)
        return self

    def setdefault(self, key: str, default: V) -> V:
        """As `dict.setdefault`."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **members: V) -> None:
        """As `dict.update`."""
        for key, value in dict(*others, **members).items():
            self[key] = value

    def pop(self, key: str, *default: Any) -> Any:
        """As `dict.pop`."""
        self.touched.add(key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[str, V]:
        """As `dict.popitem`."""
        key, value = super().popitem()
        self.touched.add(key)
        return key, value

    def clear(self) -> None:
        """As `dict.clear`."""
        self.touched.update(self)
        super().clear()
