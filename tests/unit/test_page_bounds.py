"""Syncs: a page is bounded in bytes, and a device has few of them waiting."""

import pytest
from msgspec import structs

from actors.host.users.page_sizes import PageSizes
from actors.user import effects as do
from actors.user import events as ev
from actors.user.mailbox import POLLS_MAX
from roost import wire
from storage.mailbox_rows import MailboxDocument
from storage.records import MessageRecord
from tests.unit.mailbox_world import BASE, World

SIZE = 60_000
COUNT = 100


def large(*, stored: bool) -> World:
    """Return a world whose mailbox holds large messages, in memory or in the store."""
    world = World()
    for number in range(1, COUNT + 1):
        world.append("alice", number)
        record = world.log[-1]
        assert isinstance(record, MessageRecord)
        world.log[-1] = structs.replace(record, payloads={"P": b"x" * SIZE})
    world.catch_up()
    if stored:
        world.store_all()
        world.commit()
        world.load()
    return world


def synced(world: World, cursor: int | None) -> do.AnswerPage:
    world.feed(ev.SyncAsked("t", "P", cursor, wire.WINDOW, world.now))
    world.run()
    answers = [each for each in world.effects if isinstance(each, do.AnswerPage)]
    return answers[-1]


def all_pages(world: World) -> list[do.AnswerPage]:
    pages = [synced(world, None)]
    while pages[-1].more:
        pages.append(synced(world, pages[-1].cursor))
    return pages


def check_pages(pages: list[do.AnswerPage]) -> None:
    entries = [entry for page in pages for entry in page.entries]
    assert [entry.seq for entry in entries] == [BASE + number for number in range(COUNT)]
    assert [len(page.entries) for page in pages] == [18] * 5 + [10]  # 18 are more than 1 MiB


@pytest.mark.attack("ask for a page of the longest messages from memory", "a page ends at 1 MiB of payloads")
def test_a_page_from_memory_is_bounded_in_bytes() -> None:
    check_pages(all_pages(large(stored=False)))


@pytest.mark.attack(
    "ask for a page of the longest messages from the store",
    "a page ends at 1 MiB of payloads",
)
def test_a_page_from_the_store_is_bounded_in_bytes() -> None:
    check_pages(all_pages(large(stored=True)))


def document(seq: int, size: int = SIZE) -> MailboxDocument:
    return MailboxDocument("me", seq, seq - 1, "m", "a", "A", "i", 0, b"x" * size)


def test_a_host_keeps_no_more_of_what_it_read_than_a_page_and_reads_no_more_the_next_time() -> None:
    sizes = PageSizes()
    read = [document(seq) for seq in range(1, COUNT)]
    assert sizes.most("me", 256) == 256
    assert sizes.first("me", read) == read[:18]
    assert (sizes.most("me", 256), sizes.most("me", 7), sizes.most("you", 256)) == (18, 7, 256)
    assert sizes.first("me", read[:3]) == read[:3]  # the end of the mailbox says nothing
    assert sizes.most("me", 256) == 18
    assert sizes.first("me", [document(seq, 10) for seq in range(18)])
    assert sizes.most("me", 256) == 256
    assert sizes.first("me", []) == []
    whole = [document(seq, 10) for seq in range(wire.WINDOW)]
    assert sizes.first("you", whole) == whole


def test_a_page_has_one_entry_at_least() -> None:
    one = document(1, 2 * wire.PAGE_BYTES)
    assert PageSizes().first("me", [one, one]) == [one]


@pytest.mark.attack("leave many long polls waiting", "of a device four wait, one more ends the oldest")
def test_the_oldest_of_too_many_waiting_syncs_is_answered() -> None:
    world = World(phones=("P", "Q"))
    for number in range(POLLS_MAX + 2):
        world.feed(ev.SyncAsked(f"p{number}", "P", None, 10, world.now + 60_000))
    world.feed(ev.SyncAsked("q", "Q", None, 10, world.now + 60_000))
    world.run()
    ended = [each for each in world.effects if isinstance(each, do.AnswerPage)]
    assert [each.token for each in ended] == ["p0", "p1"]
    assert not any(each.entries for each in ended)
    world.append("alice", 1)
    world.catch_up()
    told = {each.token for each in world.effects if isinstance(each, do.AnswerPage) and each.entries}
    assert told == {"p2", "p3", "p4", "p5", "q"}
