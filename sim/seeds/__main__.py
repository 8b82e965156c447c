"""Command line: ``python -m sim.seeds``; see ``docs/simulation.md``."""

import sys

from sim.seeds.cli import main

if __name__ == "__main__":
    sys.exit(main())
