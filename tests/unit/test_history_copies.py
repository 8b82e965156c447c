"""A history that one device hands to another: what it shows there, and in which order."""

import asyncio
from typing import Any

import pytest

from roost.client import thread
from roost.client.content import Delete, Edit, Reaction, Text, encode
from roost.client.store.database import Database
from roost.client.store.history import History
from roost.ids import uuid7

NOW = 1_790_000_000_000


def id_of(number: int) -> str:
    return uuid7(NOW, number.to_bytes(10, "big"))


def said(author: str, number: int, content: Any, seq: int | None = None) -> thread.Written:
    made = encode(Text(content) if isinstance(content, str) else content)
    at_ms = NOW + number
    return thread.Written(author, f"{author}PHONE", id_of(number), made, at_ms, at_ms, seq)


def history() -> History:
    made = History(Database(None))
    made.belongs_to("alice")
    return made


async def kept(of: History) -> None:
    if (writing := of.keep()) is not None:
        await writing


async def handed_over(old: History, new: History) -> int:
    take = new.take_over()
    count = sum([take(line) async for line in old.copied()])
    await kept(new)
    return count


async def shown(of: History, peer: str = "bob") -> list[tuple[str, str, str | None]]:
    page = await of.page(peer, None, 50, NOW)
    return [(each.author, each.text, each.state) for each in page.messages]


async def test_it_is_there_as_it_was_and_before_what_came_meanwhile() -> None:
    old, new = history(), history()
    old.tell("bob", said("alice", 1, "hello", seq=5))
    old.tell("bob", said("bob", 2, "hello back", seq=9))
    old.tell("bob", said("alice", 3, "wrong", seq=6))
    old.tell("bob", said("alice", 4, Edit(id_of(3), "right"), seq=7))
    old.tell("bob", said("bob", 5, Reaction(id_of(1), "👍"), seq=10))
    old.tell("bob", said("bob", 6, "not this", seq=11))
    old.tell("bob", said("bob", 7, Delete(id_of(6)), seq=12))
    old.tell("bob", thread.Receipt(6, 5))
    old.tell("bob", said("alice", 8, "never accepted"))
    old.read_up_to("bob", 9)
    await kept(old)
    new.tell("bob", said("bob", 20, "meanwhile", seq=30))
    await kept(new)
    assert await handed_over(old, new) == 9
    expected = [each for each in await shown(old) if each[1] != "never accepted"]
    assert await shown(new) == [*expected, ("bob", "meanwhile", None)]
    assert [each[1:] for each in expected[:3]] == [
        ("hello", "read"),
        ("hello back", None),
        ("right", "delivered"),
    ]
    assert [each.text for each in await new.search("right", None, 9, NOW)] == ["right"]
    assert [each.text for each in await new.search("meanwhile", None, 9, NOW)] == ["meanwhile"]
    assert await new.search("wrong", None, 9, NOW) == []
    (conversation,) = await new.conversations(NOW)
    assert (conversation.unread, conversation.read_seq) == (2, 9)  # the deleted one, too
    # Once more changes nothing, and a third device gets all of it.
    await handed_over(old, new)
    third = history()
    await handed_over(new, third)
    assert await shown(third) == await shown(new)


async def test_long_ones_come_in_their_order() -> None:
    old, new = history(), history()
    for number in range(1, 1203):
        old.tell("bob", said("bob", number, f"message {number}", seq=number))
    await kept(old)
    assert await handed_over(old, new) == 1202
    page = await new.page("bob", None, 2000, NOW)
    assert [each.text for each in page.messages] == [f"message {number}" for number in range(1, 1203)]


@pytest.mark.parametrize(
    "odd",
    [
        {"peer": "Bob"[:2]},
        {"author": "carol"},
        {"id": "x"},
        {"content": "*"},
        {"seq": 2**53},
        {"at_ms": -1},
        {"at_ms": "1"},
        {"device": None},
    ],
)
def test_a_line_of_another_form_is_refused(odd: dict[str, Any]) -> None:
    good = {
        "type": "message",
        "peer": "bob",
        "author": "bob",
        "device": "D",
        "id": id_of(1),
        "content": "aGk",
    }
    good |= {"at_ms": 1, "sent_at_ms": 1}
    new = history()
    assert new.take_over()(good)
    with pytest.raises(ValueError, match=r"."):
        new.take_over()(good | odd)
    assert not new.take_over()({"type": "sticker"})
    for bad in ({"type": "receipt", "peer": "bob", "delivered_seq": -1, "read_seq": 0}, {"type": "read"}):
        with pytest.raises(ValueError, match=r"."):
            new.take_over()(bad)
    asyncio.run(kept(new))
