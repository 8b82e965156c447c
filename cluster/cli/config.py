"""The verb ``config``: the settings in force, and the reference of all settings."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster.settings import FILE, PREFIX, Group, Rate, Settings, SettingsInvalid, without_password
from roost.cli.terminal import BAD_USAGE, DONE, complain

_URLS: Final = (
    ("mongo", "url"),
    ("redis", "url"),
    ("kafka", "url"),
    ("fcm", "endpoint"),
    ("telemetry", "traces_url"),
)


def reference() -> str:
    """Return the table of all settings in Markdown."""
    lines = [
        "# Settings",
        "",
        f"Each is an environment variable, or a key in `{FILE}` in the current folder.",
        "The variable wins. Unknown settings are refused.",
        "",
        "| variable | key | default | what it does |",
        "|---|---|---|---|",
    ]
    for path, field in _walk(Settings, ()):
        variable = PREFIX + "__".join(path).upper()
        lines.append(f"| `{variable}` | `{'.'.join(path)}` | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def _walk(group: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in group.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group) and kind is not Rate:
            yield from _walk(kind, (*path, name))
        else:
            yield (*path, name), field


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, Rate):
        return f'`{{"rate": {value.rate:g}, "burst": {value.burst}}}`'
    return f"`{value}`" if value != () else "none"


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as they may be shown: no password or credential, also none in a URL."""
    values: dict[str, Any] = settings.model_dump()
    for group, field in _URLS:
        values[group][field] = without_password(values[group][field])
    values["media"]["options"] = dict.fromkeys(settings.media.options, "***")
    return values


class Config:
    """``roost config``."""

    help = "show the settings in force, or with --markdown the reference of all settings"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--markdown``."""
        parser.add_argument("--markdown", action="store_true", help="print the reference")

    def run(self, args: argparse.Namespace) -> int:
        """Print."""
        try:
            text = reference() if args.markdown else json.dumps(shown(Settings.load()), indent=2, default=str)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        sys.stdout.write(text + "\n")
        return DONE


config = Config()
