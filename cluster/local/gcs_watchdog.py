"""A watchdog that restarts the GCS of Ray's head when it dies; the roles on the head machine live on.

Run on the head machine beside Ray as ``python -m cluster.local.gcs_watchdog PORT``. Ray itself has one way
to bring a dead GCS back: end all that it has on the machine, and start that again. Here the GCS is started
with the command and the variables that it had; it finds in its Redis what it knew, the others find it at
its port.

Ends by itself when Ray is stopped: ``ray stop`` ends the raylet first and the GCS last.
"""

import subprocess
import sys
import time
from typing import Final

import psutil

_APPEARS_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.2
_PAUSE_S: Final = 1.0
"""Between a death and a new start: time for a raylet that is being stopped, too, to be gone."""


def main() -> int:
    """Watch for as long as Ray runs here; returns the exit code."""
    port = sys.argv[1]
    gcs, raylet = _found("gcs_server", "--gcs_server_port=", port), _found("raylet", "--gcs-address=", port)
    ends = time.monotonic() + _APPEARS_S
    while gcs is None or raylet is None:
        if time.monotonic() > ends:
            return _complain(f"There is no Ray head at port {port} of this machine.")
        time.sleep(_LOOK_EVERY_S)
        gcs, raylet = (
            _found("gcs_server", "--gcs_server_port=", port),
            _found("raylet", "--gcs-address=", port),
        )
    command, variables = gcs.cmdline(), gcs.environ()
    if not any(word.startswith("--redis_address=") for word in command):
        return _complain(
            "Without a Redis of its own a GCS that starts again knows nothing. Set RAY_REDIS_ADDRESS."
        )
    _say(f"watching the GCS, process {gcs.pid}")
    while True:
        gcs.wait()
        time.sleep(_PAUSE_S)
        if not raylet.is_running():
            _say("Ray was stopped")
            return 0
        gcs = psutil.Popen(command, env=variables, stdin=subprocess.DEVNULL, start_new_session=True)
        _say(f"the GCS had died; now it is process {gcs.pid}")


def _found(name: str, option: str, port: str) -> psutil.Process | None:
    """Return the process of this name whose option names the port."""
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or ()
        given = [word for word in words if word.startswith(option)]
        if process.info["name"] == name and given and given[0].endswith((f"={port}", f":{port}")):
            return process
    return None


def _say(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%F %T')} {sentence}\n")


def _complain(sentence: str) -> int:
    _say(sentence)
    return 1


if __name__ == "__main__":
    sys.exit(main())
