"""The line of events in the store: kept once, read from its end, bounded."""

from msgspec.structs import replace

from storage.event_records import Event
from storage.mongo import MongoStore


def event(n: int) -> Event:
    more = {"pid": n, "to": {"host-1": 2}}
    return Event(
        n, n // 1000, "role_replaced", f"host-{n}", "host is another process.", "warning", "user:ann", more
    )


async def test_events_are_kept_once_and_read_from_the_newest(store: MongoStore) -> None:
    first = [event(n) for n in (3000, 1000, 2000)]
    await store.events.keep(first)
    await store.events.keep([*first, event(4000)])  # the reply was lost
    await store.events.keep([])
    assert [each.n for each in await store.events.newest(10)] == [4000, 3000, 2000, 1000]
    assert await store.events.newest(2, before=4000) == [event(3000), event(2000)]
    assert await store.events.newest(10, before=1000) == []
    assert [each.n for each in await store.events.newest(10, before=4000, after=2000)] == [3000]


async def test_what_was_told_before_it_was_stored_is_stored_when_it_is_read(store: MongoStore) -> None:
    await store.events.keep([replace(event(1000), stored=False)])
    assert [each.stored for each in await store.events.newest(1)] == [True]


async def test_the_oldest_go_by_age_and_number(store: MongoStore) -> None:
    await store.events.keep([event(n) for n in range(1000, 1010)])
    await store.events.trim(100, 1003)
    assert [each.n for each in await store.events.newest(100)] == list(range(1009, 1002, -1))
    await store.events.trim(4, 0)
    assert [each.n for each in await store.events.newest(100)] == [1009, 1008, 1007, 1006]
    await store.events.trim(4, 0)
    assert len(await store.events.newest(100)) == 4
