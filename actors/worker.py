"""The entry point of Ray's worker processes where we started Ray: its own worker, which loads less.

Ray runs this file by its path, with the arguments that its own takes.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the folder of a script first, where `service` or `link` would be our modules.
    sys.path[:] = [each for each in sys.path if each != str(Path(__file__).parent)]
    from roost.own_packages import prefer_own

    prefer_own()  # Ray puts the current folder of whoever started it before everything else
    from ray._private.workers import default_worker

    import actors  # noqa: F401 -- before Ray: says what is not to be loaded

    runpy.run_path(default_worker.__file__, run_name="__main__")
