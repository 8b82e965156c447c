"""The verb ``config``: the settings in force, and the reference of all settings."""

import argparse
import json
import sys

from pydantic.fields import FieldInfo

from cluster.settings import FILE, PREFIX, Rate, Settings, SettingsInvalid
from cluster.settings.group import every
from cluster.settings.shown import shown
from roost.cli.terminal import BAD_USAGE, DONE, complain


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
    for path, field in every(Settings):
        variable = PREFIX + "__".join(path).upper()
        lines.append(f"| `{variable}` | `{'.'.join(path)}` | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, Rate):
        return f'`{{"rate": {value.rate:g}, "burst": {value.burst}}}`'
    return f"`{value}`" if value != () else "none"


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
