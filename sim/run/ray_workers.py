"""The workers of a run as Ray tasks, in a process of their own: Ray may end whoever talks to it.

    python -m sim.run.ray_workers FOLDER ADDRESS DATA

FOLDER is that of the run, ADDRESS that of a Ray cluster, DATA the data folder with its token.
"""

import asyncio
import sys
from pathlib import Path

from cluster.local.environment import set_for_libraries
from cluster.local.ray_head import prepare_ray
from cluster.local.ray_tls import ray_tls
from cluster.settings import Settings
from sim.run.worker import read_spec, work


def play(folder: str, number: int) -> None:
    """Play one worker's share; runs in a task."""
    asyncio.run(work(read_spec(Path(folder)), number))


def main() -> int:
    """Play all shares of the run."""
    folder, address, data = sys.argv[1:4]
    prepare_ray(Path(data))
    set_for_libraries(ray_tls(Settings.load().node))
    from actors.ray_actor import connect_ray, leave_ray, run_tasks  # noqa: PLC0415 - Ray reads its settings once

    connect_ray(address)
    try:
        run_tasks(play, [(folder, number) for number in range(read_spec(Path(folder)).workers)])
    finally:
        leave_ray()
    return 0


if __name__ == "__main__":
    sys.exit(main())
