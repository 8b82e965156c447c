"""One target under atheris, guided by coverage: ``python -m tests.fuzz.forever TARGET SECONDS``.

``make fuzz`` runs all of them. What breaks one is kept in ``.fuzz/TARGET``, as ``crash-...``: mend the parser
and add the bytes to `BREAKERS`.
"""

import sys
from pathlib import Path

import atheris

OURS = ["roost", "api", "actors", "storage", "cluster"]


def main(name: str, seconds: str) -> None:
    """Fuzz for so long; ends with another code than 0 if something broke."""
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.targets import BREAKERS, TARGETS  # noqa: PLC0415 -- instrumented as it is imported

    take, seeds = TARGETS[name]
    corpus = Path(".fuzz") / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*seeds, *BREAKERS)):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-timeout=10",
        f"-artifact_prefix={corpus}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], take)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
