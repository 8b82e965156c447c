"""Command line: ``python -m sim.deterministic``; see ``docs/simulation.md``."""

import sys

from sim.deterministic.cli import main

if __name__ == "__main__":
    sys.exit(main())
