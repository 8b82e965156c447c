"""A user actor whose parts contradict each other says so: each invariant is broken by hand, and found."""

from collections.abc import Callable

import pytest
from msgspec import structs

from actors.user import UserActor
from actors.user import events as ev
from actors.user.errors import InvariantError
from actors.user.readers import Stream
from storage.mailbox_rows import Block
from tests.unit.mailbox_world import BASE, ME, World


def reading() -> World:
    """Three messages on the way to two phones, one of which has acknowledged the first."""
    world = World(("P", "Q"), pushable=True)
    world.attach("P")
    world.attach("Q")
    for number in (1, 2, 3):
        world.append("alice", number)
    world.run()
    world.ack("P", BASE)
    world.feed(ev.ReadMarked("alice", "alice", BASE))
    return world


def first(actor: UserActor) -> Stream:
    return next(iter(actor.mailbox.streams.values()))


def swap_entries(actor: UserActor) -> None:
    actor.head._items.reverse()


def handle_less(actor: UserActor) -> None:
    actor.head.handled -= 1


def evict_the_unstored(actor: UserActor) -> None:
    actor.head.evicted = actor.head._items.popleft().seq


def lose_the_tail(actor: UserActor) -> None:
    actor.head.tail -= 1


def open_twice(actor: UserActor) -> None:
    actor.mailbox.streams[9] = Stream(9, first(actor).device, actor.head.handled, background=False)


def renumber(actor: UserActor) -> None:
    first(actor).number = 9


def keep_a_removed_device(actor: UserActor) -> None:
    del actor.devices["P"]
    actor.devices._stored = actor.devices._stored[1:]


def forget_a_device(actor: UserActor) -> None:
    del actor.devices["P"]


def starve(actor: UserActor) -> None:
    stream = first(actor)
    stream.in_flight.pop()
    stream.position = stream.sent = stream.in_flight[-1].seq


def sent_ahead(actor: UserActor) -> None:
    first(actor).sent += 1


def fetch_what_is_here(actor: UserActor) -> None:
    first(actor).fetching = True


def keep_in_flight(actor: UserActor) -> None:
    first(actor).in_flight.appendleft(actor.head._items[0])


def wake_the_reader(actor: UserActor) -> None:
    actor.devices["P"].woken_at_ms = 7


def acknowledge_less(actor: UserActor) -> None:
    actor.devices["P"].cursor -= 1


def acknowledge_the_future(actor: UserActor) -> None:
    actor.devices["P"].cursor = actor.head.handled + 1


def lower_the_floor(actor: UserActor) -> None:
    actor.devices["P"].floor = -1


def claim(actor: UserActor) -> None:
    actor.marks.told["alice"].delivered = BASE + 2


def claim_the_future(actor: UserActor) -> None:
    actor.marks.told["alice"].delivered = BASE + 99


def unread(actor: UserActor) -> None:
    actor.marks.told["alice"].read -= 1


def read_the_undelivered(actor: UserActor) -> None:
    actor.marks.told["alice"].read = BASE + 1


def forget_ids(actor: UserActor) -> None:
    actor.repeats._devices.clear()


def unread_the_row(actor: UserActor) -> None:
    actor.peers.rows["alice"] = structs.replace(actor.peers.rows["alice"], my_read_seq=0)


def mix_up_rows(actor: UserActor) -> None:
    actor.peers.rows["bob"] = actor.peers.rows["alice"]


def end_a_block_before_it_begins(actor: UserActor) -> None:
    actor.peers.blocks["bob"] = Block("me", "bob", "bob", 9, 8)


def go_offline(actor: UserActor) -> None:
    actor.presence.online = False


def stay_online(actor: UserActor) -> None:
    actor.mailbox.streams.clear()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (swap_entries, "Entry 1001 is in memory behind 1002."),
        (handle_less, "1002 is in memory, and only 1001 was handled."),
        (evict_the_unstored, "1000 was evicted, and only 999 is stored."),
        (lose_the_tail, "1002 is the last entry to be stored, and the next follows 1001."),
        (open_twice, "A device has two streams: "),
        (renumber, "Stream 9 goes by the number 1."),
        (keep_a_removed_device, "P reads, and is no device of this user."),
        (forget_a_device, "The devices are "),
        (starve, "Entry 1002 is not sent to P, which has room."),
        (sent_ahead, "P got 1003, and was looked at up to 1002."),
        (fetch_what_is_here, "P waits for a page after 1002, which is in memory."),
        (keep_in_flight, "Entry 1000 is in flight to P behind 1000."),
        (wake_the_reader, "P is here, and a wake-up of it counts as pending."),
        (acknowledge_less, "The cursor of P fell from 1000 to 999."),
        (acknowledge_the_future, "P has acknowledged 1003, and only 1002 was handled."),
        (lower_the_floor, "Device P has cursor 1000, floor -1."),
        (claim, "alice was told 1002, and no device has entry 1001."),
        (claim_the_future, "alice was told 1099, and there is nothing after 1002."),
        (unread, "The read mark of alice fell from 1000 to 999."),
        (read_the_undelivered, "alice was told read 1001, delivered 1000."),
        (forget_ids, "would be taken for new."),
        (unread_the_row, "The my_read_seq of alice fell: "),
        (mix_up_rows, "The conversation with bob is that of me with alice."),
        (end_a_block_before_it_begins, "The block of bob ends at 8, before 9."),
        (go_offline, "A stream is in the foreground, and the user is offline or about to be."),
        (stay_online, "No stream is in the foreground, and the user stays online."),
    ],
)
def test_a_broken_invariant_is_reported_in_a_sentence(
    broken: Callable[[UserActor], None], sentence: str
) -> None:
    actor = reading().actor
    actor.check()
    broken(actor)
    with pytest.raises(InvariantError) as caught:
        actor.check()
    assert sentence in str(caught.value)


def test_a_sync_that_has_an_answer_does_not_wait() -> None:
    world = World()
    world.feed(ev.SyncAsked("t", "P", None, 1, world.now + 1000))
    world.run()
    poll = world.actor.mailbox.polls["t"]
    poll.missed = True
    with pytest.raises(InvariantError, match="has 0 entries and no answer"):
        world.actor.check()


def test_a_returning_device_counts_again() -> None:
    world = reading()
    world.feed(ev.Refreshed(None, ME, world.devices[1:]))
    world.feed(ev.Refreshed(None, ME, world.devices))
    assert world.actor.devices["P"].cursor < BASE
