"""Parts of a self-contained page: nothing is loaded from elsewhere, and no script runs."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page of these parts, with the style sheet inside."""
    style = files("sim.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The browser itself sees to it that nothing is loaded and nothing runs.
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        # Not even a picture for the tab is asked for.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, body: str, note: str = "") -> str:
    """Return a section; ``body`` is HTML, heading and note are text."""
    told = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(heading)}</h2>{told}{body}</section>"


def table(heads: Sequence[str], rows: Iterable[Iterable[str]], *, numbers: int) -> str:
    """Return a table whose last columns are numbers."""
    columns = "".join(
        f'<th scope="col"{" class=n" if n >= len(heads) - numbers else ""}>{escape(head)}</th>'
        for n, head in enumerate(heads)
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>"
    # On a narrow screen it is moved sideways, by the keyboard too.
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(heads[0])}">{table}</div>'


def th(text: str) -> str:
    """Return the cell that names a row."""
    return f'<th scope="row">{escape(text)}</th>'


def td(text: str, style: str = "") -> str:
    """Return a cell; the style ``n`` is a number's."""
    return f'<td class="{style}">{escape(text)}</td>' if style else f"<td>{escape(text)}</td>"
