"""The collector of figures: every two seconds, from what the roles' last heartbeats said."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from actors.service import INCARNATION
from cluster.ops.history import Ring, shown
from cluster.ops.picture import Machines
from cluster.ops.rates import SHOWN_APART, Look, Rates, Step, values_of
from cluster.ops.servers import ServerFigures
from cluster.ops.view import View
from cluster.ops.wire import Figures, History
from roost.clock import Clock
from telemetry.role_figures import KEY, RoleFigures

Values = Mapping[str, float | None]

_RECENT: Final = 5
"""So many steps a gateway may miss; the rest is in the history."""

_OWN: Final = {
    "accepted_per_s": "accepted",
    "delivered_per_s": "delivered",
    "stored_per_s": "stored",
    "pushes_per_s": "push.sent",
}
"""Rates that are shown of each role that has them."""

_SAID: Final = {"users": "users", "streams": "streams", "lag": "lag", "waiting": "queue", "open": "queue"}
"""Figures of a role's status, and what they are called here."""


class Collected(Struct, frozen=True):
    """What one step brought.

    Attributes:
        values: The figures of all roles together.
        roles: Those of each.
        counted: By how much each count rose.
        up_s: Since when each process is there, in seconds.
    """

    values: dict[str, float | None]
    roles: dict[str, dict[str, float | None]]
    counted: Mapping[str, float]
    up_s: Mapping[str, float]


class Collector:
    """Collects, and keeps the last quarter of an hour.

    Args:
        view: What is looked at.
        clock: The time.
        now: Seconds, from a clock that never goes back.

    Attributes:
        machines: Are told what their roles say of them.
    """

    def __init__(self, view: View, clock: Clock, now: Callable[[], float]) -> None:
        self._view, self._clock = view, clock
        self._rates, self._ring = Rates(), Ring()
        self._servers = ServerFigures(now)
        self._recent: deque[Figures] = deque(maxlen=_RECENT)
        self._met: set[str] = set()
        self.machines = Machines()

    def step(self, more: Values) -> Collected:
        """Take a step.

        Args:
            more: Figures of all together that come from elsewhere.
        """
        looks = self._looks()
        step = self._rates.step(looks)
        roles = {name: self._of(name, look, step) for name, look in looks.items()}
        used = self._servers.read(self._view.status()["roles"]) | roles
        values = self._worth_showing(values_of(step)) | _together(self._kinds(), used) | dict(more)
        figures = Figures(self._clock(), _shown(values), {name: _shown(of) for name, of in used.items()})
        self._recent.append(figures)
        self._ring.add(figures.at_ms, values)
        up_s = {name: look.figures.up_s for name, look in looks.items()}
        return Collected(values, used, step.counted, up_s)

    def after(self, at_ms: int) -> list[Figures]:
        """Return the newest figures, of those that came after that."""
        return [each for each in self._recent if each.at_ms > at_ms]

    def history(self) -> History:
        """Return what is kept."""
        return self._ring.history()

    def _looks(self) -> dict[str, Look]:
        """Return what each role said last that runs, and we."""
        roles, looks = self._view.roles, {}
        for name, supervisor in roles.supervisors.items():
            said = supervisor.figures.get(KEY)
            if said is not None and roles.running(supervisor):
                looks[name] = Look(supervisor.figures_of[0], msgspec.convert(said, RoleFigures))
        if self._view.reader is not None:
            looks["coordinator"] = Look(INCARNATION, self._view.reader.read({}, {}))
        for row in self._view.status()["roles"]:
            look = looks.get(row["name"])
            if look is not None and look.figures.machine is not None and row.get("node"):
                self.machines.heard(row["node"], look.figures.machine)
        return looks

    def _of(self, name: str, look: Look, step: Step) -> dict[str, float | None]:
        supervisor = self._view.roles.supervisors.get(name)
        said = supervisor.figures if supervisor is not None else {}
        of, rates = look.figures, step.own.get(name, {})
        used: dict[str, float | None] = {
            "cpu": step.cpu.get(name),
            "memory_bytes": of.memory_bytes,
            "fds": of.fds,
            "fds_most": of.fds_most,
        }
        used |= {known: said[name] for name, known in _SAID.items() if name in said}
        return used | of.levels | {name: rates[count] for name, count in _OWN.items() if count in rates}

    def _worth_showing(self, values: dict[str, float | None]) -> dict[str, float | None]:
        """Leave out what is counted apart and never was: most limiters are never met."""
        self._met |= {name for name, value in values.items() if value and name.startswith(SHOWN_APART)}
        return {
            name: value
            for name, value in values.items()
            if name in self._met or not name.startswith(SHOWN_APART)
        }

    def _kinds(self) -> dict[str, str]:
        return {name: each.role for name, each in self._view.roles.supervisors.items()}


def _together(kinds: Mapping[str, str], roles: Mapping[str, Values]) -> dict[str, float | None]:
    """Return the sums over roles."""

    def total(figure: str, *of: str) -> float:
        names = [name for name in roles if not of or kinds.get(name) in of]
        return sum(roles[name].get(figure) or 0.0 for name in names)

    return {
        "streams": total("streams", "gateway"),
        "users_active": total("users", "host"),
        "lag_records": total("lag", "router"),
        "push_lag_records": total("lag", "pusher"),
        "writes_waiting": total("queue", "host"),
        "cpu_cores": total("cpu"),
        "memory_bytes": total("memory_bytes"),
    }


def _shown(values: Values) -> dict[str, float | None]:
    return {name: shown(value) for name, value in values.items()}
