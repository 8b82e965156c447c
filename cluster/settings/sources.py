"""The sources of settings: a command line, the environment, ``roost.toml``. Nothing else reads these."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX: Final = "ROOST_"
FILE: Final = "roost.toml"
CLIENTS: Final = ("ROOST_SERVER", "ROOST_BOT_NAME", "ROOST_BOT_PASSWORD", "ROOST_BOT_DATA")
"""Variables of bots (`roost.bot.settings`), which may run from the same shell."""

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
        found = _reader(model, source)(**dict(changes))
        return model.model_validate(found.model_dump(include=set(model.model_fields)))
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


def _reader(model: type[BaseModel], file: Path) -> "type[BaseSettings]":
    """Return the class that gathers the values from their sources."""
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
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    return Reader


def _refuse_unknown_variables(model: type[BaseModel]) -> None:
    known = {*CLIENTS, *(PREFIX + name.upper() for name in model.model_fields)}
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
            lines.append(f"The setting {key} is unknown. See `roost config --markdown` for all settings.")
        else:
            lines.append(f"The setting {key} is invalid: {each['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)
