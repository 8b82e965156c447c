"""The fleet: the machines, and the processes on them, as the control plane makes, finds and ends them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors.ray_actor import RoleHandle
from actors.service import Node
from cluster.supervision.process_exit import ExitWatch
from telemetry.role_figures import Reader


class Fleet(NamedTuple):
    """What the coordinator needs of the world of processes.

    Attributes:
        spawn: Returns the living process of this name, or makes it, from the role, the role's name, the
            machine's id and the process's name. Blocks.
        machines: Returns the machines that are there. Blocks.
        here: The machine that we are on.
        watch: Makes what calls back when a process of our machine ends.
        restart: Ends our own process, which is then started again.
        figures: Reads the figures of our own process, None where they mean nothing.
    """

    spawn: Callable[[str, str, str, str], RoleHandle]
    machines: Callable[[], Sequence[Node]]
    here: Node
    watch: Callable[[Callable[[], None]], ExitWatch]
    restart: Callable[[], None]
    figures: Reader | None = None
