"""Write the references that come from code: ``python -m docs.generate``, or ``make docs``.

``tests/unit/test_docs.py`` fails while a file here differs from what this module makes.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from cluster.cli.config import reference
from cluster.firewall import kubernetes, markdown, nftables, security_groups
from docs import api_reference, attacks, runbook
from roost.codes import CODES, Code
from tests.security.guards import guarded, unremovable

FOLDER = Path(__file__).parent

_MARK = "<!-- Made by `make docs`. Do not edit. -->"
_ADVICE = {
    "never": "do not repeat the same request",
    "later": "the same request may succeed after a pause",
    "after_fix": "change the request, then repeat it",
}


def settings() -> str:
    """Return ``settings.md``: what ``roost config --markdown`` prints."""
    return f"{_MARK}\n\n{reference()}\n"


def codes() -> str:
    """Return ``codes.md``: the registry of codes as a table."""
    lines = [
        _MARK,
        "",
        "# Codes",
        "",
        "Every error has one of these words, the same over HTTP (`code` of the problem document), in",
        "`rejected`, `problem` and `bye` frames, and in the SDK. The registry is",
        "[`roost/codes.py`](../roost/codes.py); exceptions, statuses and close codes derive from it.",
        "",
        "A close code from 4000 to 4499 means: connect again, after the pause that `bye` advises. From 4500",
        "to 4999: do not. A stream that is ended by a word without a close code of its own is closed with",
        "4001 if its advice is *later*, else with 4500.",
        "",
        "| word | HTTP | close | advice | meaning |",
        "|---|---|---|---|---|",
        *(_row(code) for code in sorted(CODES.values(), key=lambda code: (code.status, code.word))),
        "",
        "| advice | what a client does |",
        "|---|---|",
        *(f"| {word} | {text} |" for word, text in _ADVICE.items()),
    ]
    return "\n".join(lines) + "\n"


def files() -> Mapping[Path, str]:
    """Return every generated file with the text that belongs into it."""
    deploy = FOLDER.parent / "deploy"
    page = FOLDER.parent / "api" / "web" / "client" / "src" / "ops"
    return {
        FOLDER / "settings.md": settings(),
        FOLDER / "codes.md": codes(),
        FOLDER / "api.md": f"{_MARK}\n\n{api_reference.page()}",
        FOLDER / "attacks.md": f"{_MARK}\n\n{attacks.page(guarded(), unremovable())}",
        FOLDER / "security.md": _with_part(FOLDER / "security.md", "firewall", markdown.table()),
        page / "runbook.json": runbook.page(FOLDER),
        deploy / "kuberay" / "network.yaml": kubernetes.network_policies(),
        deploy / "firewall" / "security-groups.tf.json": security_groups.terraform(),
        **{deploy / "firewall" / "nftables" / name: text for name, text in nftables.files().items()},
    }


def _with_part(path: Path, name: str, part: str) -> str:
    """Return a text with a part of it, between two marks, made again."""
    begin, end = f"<!-- {name}: made by `make docs` -->\n", f"<!-- end of {name} -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    return before + begin + part + end + rest.partition(end)[2]


def _row(code: Code) -> str:
    close = "" if code.close is None else str(code.close)
    return f"| `{code.word}` | {code.status} | {close} | {code.retry} | {code.title} |"


def main() -> int:
    """Write the files that are stale, and name them."""
    for path, text in files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(FOLDER.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
