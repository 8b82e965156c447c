"""The sources of settings: a command line, the environment, ``roost.toml``. Nothing else reads these."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from cluster.settings.group import every

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX: Final = "ROOST_"
FILE: Final = "roost.toml"

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
        reader, given = _reader(model, source)
        found = reader(**dict(changes))
        values = {origin: read_it() for origin, read_it in given.items()}
        if any(_ORIGINS in each for each in values.values()):
            raise SettingsInvalid(f"The setting {_ORIGINS} is unknown. {_SEE}")
        fields = found.model_dump(include=set(model.model_fields))
        return model.model_validate(fields | {_ORIGINS: _origins(model, values)})
    except ValidationError as exc:
        raise SettingsInvalid(_sentences(exc)) from None
    except (tomllib.TOMLDecodeError, OSError) as exc:
        raise SettingsInvalid(f"{source} cannot be read: {exc}.") from exc
    except ValueError as exc:  # pydantic-settings tells only which group it is in
        why = f"{exc}: {exc.__cause__}" if exc.__cause__ is not None else str(exc)
        raise SettingsInvalid(f"A {PREFIX} variable of several values is not JSON ({why}).") from exc


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
    known = {PREFIX + name.upper() for name in model.model_fields if name != _ORIGINS}
    for variable in sorted(os.environ):  # noqa: TID251 -- this is the file that may
        if variable.startswith(PREFIX) and variable.split("__", 1)[0] not in known:
            raise SettingsInvalid(
                f"The environment variable {variable} is not a Roost setting. "
                "See `roost config --markdown` for all settings, or unset it."
            )


def _sentences(error: ValidationError) -> str:
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        key = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            lines.append(f"The setting {key} is unknown. {_SEE}")
        else:
            lines.append(f"The setting {key} is invalid: {each['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)
