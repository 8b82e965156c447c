"""The fold of a conversation: who may change what, and which order makes no difference."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client import thread
from roost.client.content import Delete, Edit, Known, Reaction, Text, Timer, encode, read
from roost.client.thread import JUMP, Message, Thread
from roost.client.thread.remarks import about
from tests.vectors.threads import ME, PEER, Drawing, history

FIRST, SECOND, MARK, OTHER = (f"01a1ee57-33b4-7f4e-a406-00000000000{number}" for number in range(4))
LATE = 10**15


def written(
    author: str, id_: str, content: Known | bytes, *, at_ms: int = 1, **more: int | None
) -> thread.Event:
    data = content if isinstance(content, bytes) else encode(content)
    return thread.Written(author, author.upper(), id_, data, at_ms, at_ms, **more)


def folded(*events: thread.Event, now_ms: int = 2) -> list[Message]:
    fold = Thread(ME, PEER)
    for event in events:
        fold.apply(event)
    return fold.messages(now_ms)


@pytest.mark.attack("change what another wrote", "an edit or deletion counts for its author's messages only")
@pytest.mark.parametrize("author", [ME, PEER])
@pytest.mark.parametrize("act", [Edit(FIRST, "x"), Delete(FIRST)], ids=["edit", "delete"])
def test_only_the_author_changes_a_message(author: str, act: Known) -> None:
    (shown,) = folded(written(PEER, FIRST, Text("hello")), written(author, MARK, act))
    changed = shown.kind == "deleted" or shown.edited_at_ms is not None
    assert changed == (author == PEER)
    assert (shown.text == "hello") != changed


def test_the_last_edit_counts_and_a_deletion_for_good() -> None:
    message = written(PEER, FIRST, Text("one"))
    edits = [
        written(PEER, MARK, Edit(FIRST, "two"), at_ms=5),
        written(PEER, OTHER, Edit(FIRST, "three"), at_ms=4),
    ]
    (shown,) = folded(message, *edits)
    assert (shown.text, shown.edited_at_ms) == ("three", 4)
    (shown,) = folded(written(PEER, SECOND, Delete(FIRST)), message, *edits)
    assert (shown.kind, shown.text, shown.edited_at_ms, shown.reactions) == ("deleted", "", None, {})


def test_one_reaction_of_each_person() -> None:
    message = written(PEER, FIRST, Text("hello"))
    mine = [written(ME, MARK, Reaction(FIRST, "👍")), written(ME, OTHER, Reaction(FIRST, "😂"))]
    theirs = written(PEER, SECOND, Reaction(FIRST, "😂"))
    assert folded(message, *mine, theirs)[0].reactions == {"😂": [ME, PEER]}
    taken = written(ME, SECOND, Reaction(FIRST, ""))
    assert folded(message, *mine, taken)[0].reactions == {}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "sending"),
        ([thread.Accepted(FIRST, 7, 9)], "sent"),
        ([thread.Accepted(FIRST, 7, 9), thread.Receipt(delivered_seq=6)], "sent"),
        ([thread.Receipt(delivered_seq=8), thread.Accepted(FIRST, 7, 9)], "delivered"),
        ([thread.Accepted(FIRST, 7, 9), thread.Receipt(read_seq=7)], "read"),
        ([thread.Accepted(FIRST, 7, 9), thread.Delivered((FIRST,))], "delivered"),
        ([thread.Failed(FIRST, "too_large")], "failed"),
        ([thread.Accepted(FIRST, 7, 9), thread.Receipt(delivered_seq=7 + JUMP)], "sent"),
        ([thread.Accepted(FIRST, 7, 9), *(thread.Receipt(each) for each in (7, 7 + 2 * JUMP))], "delivered"),
        ([thread.Accepted(FIRST, 10, 9), *(thread.Receipt(each) for each in (7, 7 + 2 * JUMP))], "sent"),
        ([thread.Accepted(FIRST, 7, 9), thread.Expired(FIRST), thread.Receipt(9)], "expired"),
        ([thread.Renamed(FIRST, OTHER), thread.Accepted(OTHER, 7, 9)], "sent"),
    ],
)
def test_how_far_ones_own_message_got(events: list[thread.Event], state: str) -> None:
    (shown,) = folded(written(ME, FIRST, Text("hello")), *events)
    assert shown.state == state
    assert (shown.kind == "deleted") == (state == "expired")
    (theirs,) = folded(written(PEER, FIRST, Text("hello"), seq=7), *events)
    assert theirs.state is None


def test_a_message_disappears_when_its_time_is_over() -> None:
    events = [written(ME, FIRST, Text("hello"), expires_at_ms=101), thread.Accepted(FIRST, 7, 11)]
    assert folded(*events, now_ms=110)[0].expires_at_ms == 111
    assert folded(*events, now_ms=111) == []


def test_what_could_not_be_opened_and_then_can_takes_its_place() -> None:
    hidden = thread.Unreadable(PEER, PEER.upper(), FIRST, 1, 1, "unknown_device", 5)
    events = [hidden, written(ME, SECOND, Text("and?")), written(PEER, FIRST, Text("there"), seq=5)]
    assert [each.text for each in folded(*events)] == ["there", "and?"]
    assert [each.kind for each in folded(*events[:2])] == ["undecryptable", "text"]
    assert folded(*events[::-1])[0].text == "there"


TOOK_BACK = [thread.Failed(MARK, "too_large"), thread.Expired(MARK)]


@pytest.mark.parametrize("act", [Edit(FIRST, "new"), Delete(FIRST), Reaction(FIRST, "x")])
@pytest.mark.parametrize("refused", TOOK_BACK, ids=["failed", "expired"])
def test_what_the_server_does_not_take_was_never_said(act: Known, refused: thread.Event) -> None:
    before = [
        written(ME, FIRST, Text("old"), seq=1),
        written(ME, SECOND, Edit(FIRST, "older"), seq=2),
        written(ME, OTHER, Reaction(FIRST, "y"), seq=3),
    ]
    said = written(ME, MARK, act)
    assert folded(*before, said) != folded(*before)
    assert folded(*before, said, refused) == folded(*before)
    assert folded(*before, said, thread.Accepted(MARK, 9, 1), refused) == folded(*before, said), "it has it"


def test_what_is_said_here_counts_from_its_acceptance_and_until_then_as_the_last() -> None:
    fold, shown = Thread(ME, PEER), []
    for event in (
        written(ME, FIRST, Text("old"), seq=1),
        written(ME, MARK, Edit(FIRST, "here")),
        written(ME, SECOND, Edit(FIRST, "elsewhere"), seq=2),
        thread.Renamed(MARK, OTHER),
        thread.Accepted(OTHER, 3, 7),
        written(ME, MARK, Edit(FIRST, "there"), seq=4),
    ):
        fold.apply(event)
        shown += [(each.text, each.edited_at_ms) for each in fold.messages(2)]
    assert shown == [("old", None), ("here", 1), ("here", 1), ("here", 1), ("here", 7), ("here", 7)]


def test_a_timer_is_a_line_and_holds_from_then_on() -> None:
    fold = Thread(ME, PEER)
    for event in (written(ME, FIRST, Timer(60)), written(PEER, SECOND, Timer(None))):
        fold.apply(event)
        shown = fold.messages(2)[-1]
        assert (shown.kind, shown.expires_in_s) == ("timer", fold.timer_s)
    assert fold.timer_s is None


@given(st.integers(1, 2**32), st.randoms(use_true_random=False))
def test_only_the_order_of_messages_and_of_one_persons_acts_counts(seed: int, random: Random) -> None:
    """The rest may come in any order: what is about a message before it, a receipt before what it covers."""
    events = [each for each in Drawing(seed).history(30) if not isinstance(each, thread.Renamed)]
    order = sorted(range(len(events)), key=lambda at: (random.random(), at))
    queues: dict[object, list[thread.Event]] = {}
    for event in events:
        queues.setdefault(_in_order(event), []).append(event)
    shuffled = [queues[_in_order(events[at])].pop(0) for at in order]
    assert folded(*shuffled, now_ms=LATE) == folded(*events, now_ms=LATE)
    assert folded(*shuffled) == folded(*events)


def _in_order(event: thread.Event) -> object:
    """Return what has to keep its order: the way of what is written here, what others say of one message."""
    match event:
        case thread.Receipt():
            return "receipts"
        case thread.Written(content=content) if event.author != ME and about(read(content)) is not None:
            return (type(read(content)), about(read(content)))
        case _:
            return "messages"


@given(st.integers(1, 2**32))
def test_what_comes_twice_changes_nothing(seed: int) -> None:
    events = [
        each for each in Drawing(seed).history(30) if isinstance(each, thread.Written | thread.Unreadable)
    ]
    assert folded(*events, *events) == folded(*events)


def test_a_history_is_drawn_the_same_way_each_time() -> None:
    assert history(7) == history(7)
