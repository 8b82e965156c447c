"""The profile as rows of a table, and what of it has changed since it was last written.

Each field is a row, and each key of a field that is a dict. Whatever fields the profile gets, it holds here
without a line about them:

* numbers by name (watermarks, seen ids) and what is known of people, of which there may be many, note the
  names that are set: the directory, which alone changes what is known of someone, sets it again;
* other dicts are compared with a copy: an outbox is short.
"""

import copy
import typing
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from roost.client.state import Profile, State
from roost.client.store.database import Cursor
from roost.client.store.noted import Noted

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

_STATE: Final = "state."
_TYPES: Final = {
    **{name: kind for name, kind in typing.get_type_hints(Profile).items() if kind is not State},
    **{_STATE + name: kind for name, kind in typing.get_type_hints(State).items()},
}
"""The fields of a profile and of its state, by the names of their rows."""

_DICTS: Final = {name for name, kind in _TYPES.items() if typing.get_origin(kind) is dict}
_NOTED: Final = {name for name in _DICTS if typing.get_args(_TYPES[name])[1] is int} | {"peers", "identities"}


class Row(NamedTuple):
    """One row; the value None means that there is none.

    Attributes:
        field: The field's name.
        key: Which key of it, ``""`` if it is no dict.
        value: In MessagePack.
    """

    field: str
    key: str
    value: bytes | None


class ProfileRows:
    """Tells what of a profile is not as it was written."""

    def __init__(self) -> None:
        self._written: dict[str, Any] = {}

    def read(self, cursor: Cursor) -> Profile | None:
        """Return the profile that was written, None if there is none.

        Raises:
            ValueError: It is damaged.
        """
        found: dict[str, Any] = {name: {} for name in _DICTS}
        for field, key, value in cursor.execute("SELECT field, key, value FROM profile"):
            if field in _DICTS:
                found[field][key] = _decode(value)
            else:
                found[field] = _decode(value)
        if found.keys() == _DICTS:
            return None
        state = {name[len(_STATE) :]: found.pop(name) for name in list(found) if name.startswith(_STATE)}
        profile = msgspec.convert(found | {"state": state}, Profile)
        self.changes(profile)  # which are none: what was read is what is written
        return profile

    def changes(self, profile: Profile) -> list[Row]:
        """Return what has changed; it counts as written from now on."""
        return list(self._differences(profile))

    def all(self, profile: Profile) -> list[Row]:
        """Return every row, whatever was written."""
        self._written.clear()
        return self.changes(profile)

    def _differences(self, profile: Profile) -> Iterator[Row]:
        for name in _TYPES:
            holder: Any = profile.state if name.startswith(_STATE) else profile
            attribute = name.removeprefix(_STATE)
            value = getattr(holder, attribute)
            if name in _NOTED:
                if not isinstance(value, Noted):
                    value = Noted(value)
                    setattr(holder, attribute, value)
                yield from self._of_noted(name, value)
            elif name in _DICTS:
                yield from self._of_dict(name, value)
            elif self._written.get(name) != (data := _encode(value)):
                self._written[name] = data
                yield Row(name, "", data)

    def _of_noted(self, name: str, now: Noted[Any]) -> Iterator[Row]:
        before = self._written.get(name)
        self._written[name] = now
        if before is not now:  # another dict than the one that was watched
            now.touched.update(now, before or ())
        for key in now.touched:
            yield Row(name, key, _encode(now[key]) if key in now else None)
        now.touched.clear()

    def _of_dict(self, name: str, now: dict[str, Any]) -> Iterator[Row]:
        before: dict[str, Any] = self._written.setdefault(name, {})
        for key, value in now.items():
            if key not in before or before[key] != value:
                before[key] = copy.deepcopy(value)
                yield Row(name, key, _encode(value))
        if len(before) > len(now):
            for key in before.keys() - now.keys():
                del before[key]
                yield Row(name, key, None)


def write(cursor: Cursor, rows: list[Row], *, whole: bool = False) -> None:
    """Write rows; ``whole``: in the place of all that there are."""
    if whole:
        cursor.execute("DELETE FROM profile")
    cursor.executemany(
        "INSERT INTO profile VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [row for row in rows if row.value is not None],
    )
    cursor.executemany(
        "DELETE FROM profile WHERE field = ? AND key = ?", [row[:2] for row in rows if row.value is None]
    )
