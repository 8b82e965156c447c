"""Write the vectors, or check the committed ones."""

import argparse
import sys
from pathlib import Path

from tests.vectors.files import written

FOLDER = Path(__file__).parents[2] / "api/web/client/test/vectors"


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if any differs")
    check: bool = parser.parse_args().check
    different = [name for name, text in written().items() if _differs(name, text)]
    for name in different:
        sys.stdout.write(f"{'differs' if check else 'written'}: {name}\n")
        if not check:
            (FOLDER / name).write_text(written()[name])
    return int(check and bool(different))


def _differs(name: str, text: str) -> bool:
    path = FOLDER / name
    return not path.exists() or path.read_text() != text


if __name__ == "__main__":
    sys.exit(main())
