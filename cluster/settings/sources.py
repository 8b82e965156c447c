"""The sources of settings: a command line, the environment, ``roost.toml``. Nothing else reads these."""

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from cluster.settings.group import every
from roost.owners import stranger

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX: Final = "ROOST_"
FILE: Final = "roost.toml"
CLIENTS: Final = ("ROOST_SERVER", "ROOST_BOT_NAME", "ROOST_BOT_PASSWORD", "ROOST_BOT_DATA")
"""Variables of bots (`roost.bot.settings`), which may run from the same shell."""

Origin = Literal["argument", "environment", "file"]
"""Where a setting was given."""

_ORIGINS: Final = "origins"
_SEE: Final = "See `roost config --markdown` for all settings."

_Model = TypeVar("_Model", bound=BaseModel)


class SettingsInvalid(Exception):  # noqa: N818 -- named for what happened
    """A setting is unknown or has no allowed value; the sentences say which and why."""


def read(model: type[_Model], changes: Mapping[str, Any], file: Path | None) -> _Model:
    """Read ``changes``, then the environment, then the file; see `Settings.load`."""
    _refuse_unknown_variables(model)
    source = file or Path(FILE)
    if file is not None and not file.exists():
        raise SettingsInvalid(f"There is no settings file {file}.")
    try:
        _refuse_others_file(source)
        reader, given = _reader(model, source)
        found = reader(**dict(changes))
        values = {origin: read_it() for origin, read_it in given.items()}
        if any(_ORIGINS in each for each in values.values()):
            raise SettingsInvalid(f"The setting {_ORIGINS} is unknown. {_SEE}")
        fields = found.model_dump(include=set(model.model_fields))
        return model.model_validate(fields | {_ORIGINS: _origins(model, values)})
    except ValidationError as exc:
        raise SettingsInvalid(_sentences(model, exc)) from None
    except OSError as exc:
        raise SettingsInvalid(f"{source} cannot be read: {exc.strerror}.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"{source} is not TOML: {exc}.") from exc
    except ValueError as exc:  # pydantic-settings tells only which group it is in
        raise SettingsInvalid(_not_json(model, exc)) from exc


def variable(name: str) -> str | None:
    """Return the variable that a setting names: one with a secret, which is in no setting itself."""
    return os.environ.get(name)  # noqa: TID251 -- this is the file that may


def _origins(model: type[BaseModel], values: Mapping[Origin, Mapping[str, Any]]) -> dict[str, Origin]:
    """Return the first source of each setting that has one."""
    found: dict[str, Origin] = {}
    for path, _ in every(model):
        for origin, given in values.items():
            if _has(given, path):
                found.setdefault(".".join(path), origin)
    return found


def _has(given: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(given, Mapping) or name not in given:
            return False
        given = given[name]
    return True


def _reader(
    model: type[BaseModel], file: Path
) -> "tuple[type[BaseSettings], dict[Origin, PydanticBaseSettingsSource]]":
    """Return the class that gathers the values, and its sources, which it knows once it has."""
    sources: dict[Origin, PydanticBaseSettingsSource] = {}
    # A role is handed its settings, and does without the 80 ms that these modules take.
    from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource  # noqa: PLC0415

    class Reader(BaseSettings, model):  # type: ignore[misc, valid-type]  # mypy wants a name
        model_config = SettingsConfigDict(
            env_prefix=PREFIX,
            env_nested_delimiter="__",
            nested_model_default_partial_update=True,
            extra="forbid",
            frozen=True,
            toml_file=file,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: "PydanticBaseSettingsSource",
            env_settings: "PydanticBaseSettingsSource",
            dotenv_settings: "PydanticBaseSettingsSource",
            file_secret_settings: "PydanticBaseSettingsSource",
        ) -> "tuple[PydanticBaseSettingsSource, ...]":
            del dotenv_settings, file_secret_settings
            sources["argument"], sources["environment"] = init_settings, env_settings
            sources["file"] = TomlConfigSettingsSource(settings_cls)
            return tuple(sources.values())

    return Reader, sources


def _refuse_unknown_variables(model: type[BaseModel]) -> None:
    known = {*CLIENTS, *(PREFIX + name.upper() for name in model.model_fields if name != _ORIGINS)}
    for variable in sorted(os.environ):  # noqa: TID251 -- this is the file that may
        if variable.startswith(PREFIX) and variable.split("__", 1)[0] not in known:
            raise SettingsInvalid(
                f"The environment variable {variable} is not a Roost setting. "
                "See `roost config --markdown` for all settings, or unset it."
            )


def _refuse_others_file(file: Path) -> None:
    """Refuse a file that another user may have put in this folder: settings name commands that are run."""
    if not file.exists():
        return
    if not file.is_file():
        raise SettingsInvalid(f"{file} is no file.")
    if (owner := stranger(file)) is not None:
        raise SettingsInvalid(
            f"{file.absolute()} belongs to the user {owner}, and what it sets would be done as this one. "
            "Make it your own with chown, or run this in another folder."
        )
    if file.stat().st_mode & stat.S_IWOTH:
        raise SettingsInvalid(
            f"Everyone can write {file.absolute()}. Fix it with: chmod o-w {file.absolute()}"
        )


def _not_json(model: type[BaseModel], error: ValueError) -> str:
    """Return the variable that should be JSON and is not, and how it is written."""
    for path, field in every(model):
        name = PREFIX + "__".join(path).upper()
        value, example = variable(name), _example(field)
        if value is not None and example is not None and not _is_json(value):
            return f"{name} takes several values, as JSON such as {example}, and is set to something else."
    return f"A {PREFIX} variable of several values is not JSON ({error}: {error.__cause__})."


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _example(field: FieldInfo) -> str | None:
    """Return how a setting of several values is written; None: it has one."""
    match field.get_default(call_default_factory=True):
        case BaseModel() as group:
            return group.model_dump_json()
        case tuple():
            return '["...", "..."]'
        case Mapping():
            return '{"name": "..."}'
    return None


def _sentences(model: type[BaseModel], error: ValidationError) -> str:
    fields = {".".join(path): field for path, field in every(model)}
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        key = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            lines.append(f"The setting {key} is unknown. {_SEE}")
        elif each["type"] == "model_type" and (field := fields.get(key)) is not None:
            lines.append(f"The setting {key} takes several values, such as {_example(field)}.")
        else:
            lines.append(f"The setting {key} is invalid: {each['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)
