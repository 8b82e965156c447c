"""A group of settings, frozen and without unknown keys; and the way through groups to each setting."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

Path = tuple[str, ...]
"""Names of a group, of one within it, and so on, and of the setting."""


class Group(BaseModel):
    """A group of settings.

    Attributes:
        is_one_setting: It is shown as one value.
    """

    is_one_setting: ClassVar[bool] = False

    model_config = ConfigDict(frozen=True, extra="forbid")


def every(group: type[BaseModel], path: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Yield each setting with its path, in order; what has no description is none."""
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group) and not kind.is_one_setting:
            yield from every(kind, (*path, name))
        elif field.description is not None:
            yield (*path, name), field
