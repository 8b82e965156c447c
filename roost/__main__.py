"""``python -m roost``."""

import sys

from roost.cli.command_line import main

sys.exit(main())
