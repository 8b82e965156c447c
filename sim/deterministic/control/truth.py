"""What is true in a run, whatever any part of it believes; and what must hold."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from roost.ids import shard_of
from sim.deterministic.control.virtual_time import Life, life
from storage.cluster_rows import LogState, StoredRoster
from storage.records import decode_push
from storage.topics import MAILBOX, PUSH

if TYPE_CHECKING:
    from sim.deterministic.control.log import Partition


Place = tuple[str, int]
"""A user, and a number in that user's mailbox."""


class Truth:
    """Watches everything that is done to the servers, and remembers the first thing that must not be.

    Attributes:
        violation: Kind and story of that.
        accepted: What senders were told is accepted.
        sent: Devices that the provider of wake-ups has taken.
        trying: Pushers that have tried to wake a device.
    """

    def __init__(self) -> None:
        self.violation: tuple[str, str] | None = None
        self._digest = blake2b(digest_size=16)
        self.accepted: dict[Place, bytes] = {}
        self.sent: set[str] = set()
        self.trying: dict[str, list[Life]] = {}
        self._bases: dict[int, int] = {}
        self._losing: set[int] = set()
        self._misplaced: set[bytes] = set()
        self._states: Mapping[int, LogState] = {}
        self._stored: Mapping[Place, bytes] = {}

    @property
    def digest(self) -> str:
        """What tells one run from another."""
        return self._digest.hexdigest()

    def note(self, server: str, at_s: float) -> None:
        """A server has done something."""
        self._digest.update(f"{server} {at_s:.6f}".encode())

    def fail(self, kind: str, story: str) -> None:
        """Something is that must not be."""
        if self.violation is None:
            self.violation = (kind, story)

    def watch(self, stored: Mapping[Place, bytes]) -> None:
        """These are the documents in the store."""
        self._stored = stored

    # --- numbers ---

    def accept(self, seq: int, user: str, value: bytes) -> None:
        """A sender is told that this is its number."""
        if value in self._misplaced:
            self.fail("wrong shard", f"{value!r} is accepted")
        before = self.accepted.setdefault((user, seq), value)
        if before != value:
            self.fail("number given twice", f"{seq} was given for {before!r} and for {value!r}")

    def misplaced(self, value: bytes) -> None:
        """A host finds a record on a shard that is not its recipient's, and keeps it for an operator."""
        self._misplaced.add(value)
        if value in self.accepted.values():
            self.fail("wrong shard", f"{value!r} was accepted")

    def lose(self, shards: Iterable[int]) -> None:
        """The log of these shards is lost, or its beginning: what was not stored of it is gone."""
        self._losing |= set(shards)

    def bases_changed(self, states: Mapping[int, LogState]) -> None:
        """The coordinator has stored what it knows of the log."""
        self._states = states
        for shard, state in states.items():
            before = self._bases.get(shard, 0)
            if state.base < before:
                self.fail("base sank", f"shard {shard}: {before} to {state.base}")
            if state.base > before:
                self._losing.discard(shard)
            self._bases[shard] = state.base

    def unstored(self) -> list[Place]:
        """Return what was accepted, is not stored, and does not count as gone."""
        return [place for place in self.accepted if place not in self._stored and not self._excuses(place)]

    def _excuses(self, place: Place) -> bool:
        """Return whether who sent it learns that no one knows it, and sends it again."""
        user, seq = place
        state = self._states[shard_of(user, len(self._states))]
        return seq < state.base and not state.handled(seq)

    # --- the log ---

    def topic_deleted(self, topic: str, partitions: Sequence["Partition"]) -> None:
        """The coordinator deletes a topic."""
        if topic != MAILBOX:
            return
        values, told = set(self._stored.values()), set(self.accepted.values())
        for shard, each in enumerate(partitions):
            lost = [value for value in each.records if value in told and value not in values]
            if lost and shard not in self._losing:
                self.fail("deleted unstored", f"{lost} of shard {shard}, which ended at {each.end}")

    def trimmed(self, topic: str, shard: int, partition: "Partition", count: int) -> None:
        """The coordinator deletes the oldest records of a partition."""
        values = set(self._stored.values())
        gone = partition.records[:count]
        missing = [value for value in gone if not self._finished(topic, value, values)]
        if missing and shard not in self._losing:
            self.fail("trimmed unfinished", f"{missing} of {topic} {shard} from {partition.start}")

    def committed(self, topic: str, shard: int, partitions: Sequence["Partition"], offset: int) -> None:
        """A reader says that everything below is finished."""
        if topic != PUSH or shard >= len(partitions):
            return
        partition = partitions[shard]
        if offset > partition.end:
            return  # of a log before this one: who begins there finds that out
        kept = max(0, offset - partition.start)
        # Of two wake-ups of one device the later may have been marked first: it stands for both.
        later = {decode_push(value).device for value in partition.records[kept:]}
        early = {decode_push(value).device for value in partition.records[:kept]} - self.sent - later
        mine = life()
        early = {device for device in early if not self._someone_elses(device, mine)}
        if early:
            self.fail(
                "committed early", f"{len(early)} wake-ups of shard {shard} below {offset} were not sent"
            )

    def tries(self, device: str) -> None:
        """The pusher that runs begins to wake a device."""
        if (mine := life()) is not None:
            self.trying.setdefault(device, []).append(mine)

    def _finished(self, topic: str, value: bytes, stored: set[bytes]) -> bool:
        if topic == MAILBOX:
            return value in stored
        # Only a pusher that was replaced excuses that it was not sent: who trims is none of them.
        device = decode_push(value).device
        return device in self.sent or any(one.replaced for one in self.trying.get(device, ()))

    def _someone_elses(self, device: str, mine: Life | None) -> bool:
        """Return whether another pusher was at a wake-up before, and still is: it is that one's to send.

        Who finds that it was replaced ends with what it had begun, which the other one took for pending.
        """
        tried = self.trying.get(device, ())
        return any(one is not mine and (one.replaced or not one.dead) for one in tried)

    # --- the roster ---

    def roster_changed(self, before: StoredRoster | None, after: StoredRoster) -> None:
        """The coordinator has stored who is to be there."""
        owners = list(after.processes.values())
        if len(set(owners)) != len(owners):
            self.fail("two in one process", f"{after.processes}")
        gone = set(before.names) - set(after.names) - set(before.going) - set(before.coming) if before else ()
        if gone:
            self.fail("left without a word", f"{gone}; {before} to {after}")
