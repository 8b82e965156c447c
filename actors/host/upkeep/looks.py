"""What an operator is told about the users at a host. Nothing is counted for it while no one asks."""

from collections.abc import Callable
from heapq import nsmallest
from typing import Any, Final

from actors.host.runtime import Runtime
from actors.host.streams.streams import Streams
from actors.host.users.residents import Residents
from roost.clock import Clock

_WINDOW_MS: Final = 60_000
_FORGET_S: Final = 120.0
_MOST: Final = 200


class Looks:
    """Looks at users: at one, or for those that get the most messages.

    A mailbox numbers what it was given anyway, so the hottest users are found by two looks at those numbers,
    of which the first is kept while someone goes on asking.
    """

    def __init__(self, residents: Residents, streams: Streams, clock: Clock, runtime: Runtime) -> None:
        self._residents, self._streams = residents, streams
        self._clock, self._runtime = clock, runtime
        self._before: dict[int, dict[str, int]] = {}
        self._stay_forgetting: Callable[[], None] = lambda: None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer the acts ``user``, ``waiting`` and ``hot``."""
        match message["act"]:
            case "user":
                return self.user(message["user"])
            case "waiting":
                return self.waiting(message["limit"], set(message["users"]))
            case _:
                return self.hot(message["limit"])

    def user(self, user: str) -> dict[str, Any]:
        """Return whether the user is online here, and its streams."""
        resident = self._residents.get(user)
        actor = resident.actor if resident is not None else None
        if actor is None:
            return {"online": False, "streams": []}
        streams = []
        for number, stream in actor.mailbox.streams.items():
            info = self._streams.by_number.get(number)
            streams.append(
                {
                    "device_id": stream.device,
                    "gateway": "" if info is None else info.key.link.name,
                    "background": stream.background,
                    "unacknowledged": len(stream.in_flight),
                    "waiting_since_ms": 0 if info is None else info.waiting_ms,
                }
            )
        return {"online": actor.mailbox.in_foreground, "streams": streams}

    def waiting(self, limit: int, users: set[str]) -> dict[str, Any]:
        """Return the streams that have acknowledged nothing for the longest, and those of these users."""
        slow = [each for each in self._streams.by_number.values() if each.waiting_ms]
        first = nsmallest(limit, slow, key=lambda each: each.waiting_ms)
        asked = [each for each in self._streams.by_number.values() if each.user in users]
        rows = []
        for info in {each.number: each for each in (*first, *asked)}.values():
            resident = self._residents.get(info.user)
            actor = resident.actor if resident is not None else None
            stream = None if actor is None else actor.mailbox.streams.get(info.number)
            unacknowledged = 0 if stream is None else len(stream.in_flight)
            rows.append([info.user, info.device, info.waiting_ms, unacknowledged])
        return {"streams": rows}

    def hot(self, limit: int) -> dict[str, Any]:
        """Return who was given the most messages since a look of up to a minute ago; at first no one."""
        now = self._clock()
        counts = {user: actor.head.totals[0] for user, actor in self._residents.actors()}
        for at in [at for at in self._before if now - at > _WINDOW_MS]:
            del self._before[at]
        since = min(self._before, default=now)
        before = self._before.get(since, counts)
        # Who was not here then was loaded since: of what came before the loading nothing is known.
        rises = {user: count - before[user] for user, count in counts.items() if user in before}
        hottest = sorted(rises.items(), key=lambda each: -each[1])[: min(limit, _MOST)]
        self._keep(now, counts)
        return {"since_ms": since, "users": [[user, count] for user, count in hottest if count > 0]}

    def _keep(self, now: int, counts: dict[str, int]) -> None:
        """Keep this look, unless the last one is some seconds old; and none once no one asks."""
        if now - max(self._before, default=0) >= _WINDOW_MS // 3:
            self._before[now] = counts
        self._stay_forgetting()
        self._stay_forgetting = self._runtime.later(_FORGET_S, self._before.clear)
