"""How far the log may be trimmed, by what is known of it."""

from typing import Any

from cluster.log.trimmer import Trimmer
from storage.cluster_rows import LogState
from storage.topics import MAILBOX, PUSH


class Log:
    """What is stored of one shard, and what is trimmed."""

    def __init__(self) -> None:
        self.state = LogState(0, 1, 0, pushes=1)
        self.committed_by_pushers = {0: 20}
        self.trimmed: list[tuple[str, dict[int, int]]] = []
        self.now_s = 0.0

    async def log_states(self) -> dict[int, LogState]:
        return {0: self.state}

    async def committed(self, *_: str) -> dict[int, int]:
        return dict(self.committed_by_pushers)

    async def sizes(self, _topic: str) -> dict[int, int]:
        return {0: 1_000}

    async def trim(self, topic: str, offsets: dict[int, int]) -> None:
        self.trimmed.append((topic, offsets))


async def test_offsets_that_outlived_their_log_say_nothing_about_the_next_one() -> None:
    log: Any = Log()
    trimmer = Trimmer(log, log, 10, 30.0, lambda: log.now_s)
    await trimmer.look()
    log.state = LogState(0, 2**33, 40, pushes=2**33)  # made again; its pusher hangs
    for log.now_s in range(100, 200, 20):
        await trimmer.look()
    assert log.trimmed == [(MAILBOX, {0: 39})]
    log.committed_by_pushers = {0: 7}
    for log.now_s in range(200, 300, 20):
        await trimmer.look()
    assert log.trimmed[1:] == [(PUSH, {0: 6})]
