"""The first look at an embedded log that was kept: it goes on, and its numbers are new.

``roost up`` does this before any role lives. The data folder may be a copy that was put back, log and all:
what was given out after the copy was made is known to nobody here, but to clients, whose cursors it is.
"""

import structlog

from cluster.control.log_numbers import raised
from roost.clock import Clock
from storage.ports import ClusterState, LogAdmin
from storage.topics import MAILBOX

log = structlog.get_logger()


async def renumber(store: ClusterState, admin: LogAdmin, clock: Clock) -> bool:
    """Raise the bases of a log of which everything is stored; return whether that was done.

    After an orderly stop everything is. After a crash it may not be: then the numbers stay, which were told
    to the senders of what is not stored. A copy of a folder is made after an orderly stop.
    """
    states = await store.log_states()
    if not states or await store.phase() or await admin.partitions(MAILBOX) != len(states):
        return False  # it is made, or made anew, by the coordinator
    ends = await admin.ends(MAILBOX)
    unstored = {shard: ends[shard] - state.stored for shard, state in states.items()}
    if any(unstored.values()):
        log.warning("log_continues", unstored=sum(unstored.values()))
        return False
    now_ms = clock()
    await store.put_log_states([raised(state, state.stored, now_ms) for state in states.values()])
    return True
