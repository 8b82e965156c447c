"""The runbook as the operators' page carries it: what `operations.md` says under the name of each alert."""

import json
import re
from pathlib import Path

_CHAPTER = re.compile(r"^## Alerts\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^### (\w+)\n+(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def sections(operations: str) -> dict[str, str]:
    """Return the text of each section by its anchor: paragraphs, each on one line; links are their words."""
    [chapter] = _CHAPTER.findall(operations)
    return {name.lower(): _text(body) for name, body in _SECTION.findall(chapter)}


def page(folder: Path) -> str:
    """Return `runbook.json`."""
    found = sections((folder / "operations.md").read_text(encoding="utf-8"))
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _text(body: str) -> str:
    blocks = [block for block in re.split(r"\n{2,}|\n(?=\* )", body.strip()) if block]
    return "\n\n".join(" ".join(_LINK.sub(r"\1", block).split()) for block in blocks)
