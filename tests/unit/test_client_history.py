"""The history in SQLite: it shows what the fold of everything would, finds words, and forgets for good."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.client import thread
from roost.client.content import Attachment, Delete, Edit, FileReference, ReadUpTo, Text, Timer, encode
from roost.client.store import History, words
from roost.client.store.database import Database
from roost.client.thread import Message, Thread
from roost.ids import uuid7
from tests.vectors.threads import ME, PEER, START_MS, Drawing

NOW = START_MS


class Told:
    """A history, and what it is told."""

    def __init__(self, path: Path | None = None) -> None:
        self.database = Database(path)
        self.history = History(self.database)
        self.history.belongs_to(ME)
        self._count = 0

    async def message(self, author: str, text: str | bytes, *, peer: str = PEER, **more: int | None) -> str:
        self._count += 1
        id_ = uuid7(NOW, self._count.to_bytes(10, "big"))
        data = text.encode() if isinstance(text, str) else text
        seq = None if author == ME else self._count
        event = thread.Written(author, author.upper(), id_, data, NOW, NOW, seq, **more)  # type: ignore[arg-type]
        await self.tell(event, peer=peer)
        return id_

    async def tell(self, *events: thread.Event, peer: str = PEER) -> None:
        for event in events:
            self.history.tell(peer, event)
        await self.keep()

    async def keep(self) -> None:
        kept = self.history.keep()
        if kept is not None:
            await kept

    async def shown(self, *, now_ms: int = NOW) -> list[Message]:
        return (await self.history.page(PEER, None, 10_000, now_ms)).messages

    async def found(self, text: str) -> list[str]:
        return [each.text for each in await self.history.search(text, None, 10, NOW)]


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    made = Told(tmp_path / "history.db")
    yield made
    made.database.close()


@pytest.mark.parametrize("seed", range(40))
async def test_the_tables_show_what_the_fold_does(seed: int) -> None:
    told = Told()
    fold = Thread(ME, PEER)
    events = Drawing(seed).history(50)
    for event in events:
        fold.apply(event)
    await told.tell(*events)
    late = START_MS + 10**7
    assert await told.shown() == fold.messages(NOW)
    assert await told.shown(now_ms=late) == fold.messages(late)
    told.history.pass_time(late)
    await told.keep()
    assert await told.shown() == fold.messages(late), "what is over is removed, and nothing else"
    paged: list[Message] = []
    before: int | None = None
    while True:
        page = await told.history.page(PEER, before, 3, late)
        paged, before = page.messages + paged, page.before
        if before is None:
            break
    assert paged == fold.messages(late)
    (talk,) = await told.history.conversations(late)
    assert talk.timer_s == fold.timer_s
    told.database.close()


async def test_unread_is_what_the_peer_wrote_after_the_mark_of_any_own_device(told: Told) -> None:
    for number in range(4):
        await told.message(PEER, f"number {number}")
    await told.message(ME, "mine")
    await told.message(PEER, encode(Timer(60)))
    (talk,) = await told.history.conversations(NOW)
    assert (talk.peer, talk.unread, talk.last and talk.last.kind) == (PEER, 4, "timer")
    told.history.read_up_to(PEER, 2)
    await told.message(PEER, encode(ReadUpTo(PEER, 4)))
    assert (await told.history.conversations(NOW))[0].unread == 2, "a peer cannot say what is read"
    await told.message(ME, encode(ReadUpTo(PEER, 3)), peer=ME)
    told.history.read_up_to(PEER, 1)
    await told.keep()
    (talk,) = await told.history.conversations(NOW)
    assert (talk.unread, talk.read_seq) == (1, 3)


async def test_conversations_are_in_the_order_of_their_last_messages(told: Told) -> None:
    await told.message("carol", "first", peer="carol")
    await told.message(PEER, "second")
    await told.message(ME, "to myself", peer=ME)
    await told.message(ME, "third", peer="carol")
    talks = await told.history.conversations(NOW)
    assert [(each.peer, each.unread) for each in talks] == [("carol", 1), (ME, 0), (PEER, 1)]


@pytest.mark.parametrize("indexed", [True, False], ids=["fts5", "like"])
async def test_words_are_found_in_what_is_shown_now(indexed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setattr(words, "_has_fts5", lambda _: indexed)
    told = Told()
    reply = await told.message(PEER, encode(Text("Grüße an Großmutter", uuid7(NOW, bytes(10)))))
    file = FileReference("m", bytes(32), bytes(32), 1, "a.png")
    await told.message(ME, encode(Attachment(file, "my garden in spring")))
    await told.message("carol", 'garden "OR" 100% a_b', peer="carol")
    assert await told.found("garden") == ['garden "OR" 100% a_b', "my garden in spring"]
    assert await told.found("spring gard") == ["my garden in spring"]
    assert await told.found('"or"') == ['garden "OR" 100% a_b']
    assert await told.found("  ") == []
    for nothing in ("winter", "garden OR winter", "text:garden", "*", "1%b", "garden NOT spring"):
        assert await told.found(nothing) == [], nothing
    assert len(await told.history.search("garden", PEER, 10, NOW)) == 1
    await told.message(PEER, encode(Edit(reply, "goodbye")))
    assert (await told.found("Gro"), await told.found("goodb")) == ([], ["goodbye"])
    await told.message(PEER, encode(Delete(reply)))
    assert await told.found("goodb") == []
    told.database.close()


async def test_what_was_written_without_the_index_is_found_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.db"
    for has_index, text in ((True, "one apple"), (False, "two apples"), (True, "three apples")):
        monkeypatch.setattr(words, "_has_fts5", lambda _, has=has_index: has)
        told = Told(path)
        told._count = len(text)
        await told.message(PEER, text)
        found = await told.found("apple")
        told.database.close()
    assert found == ["three apples", "two apples", "one apple"]


@pytest.mark.attack("find a deleted message in a client's file", "what is removed is overwritten")
@pytest.mark.parametrize("how", ["deleted", "disappeared", "expired"])
async def test_what_is_removed_is_nowhere_in_the_file(told: Told, tmp_path: Path, how: str) -> None:
    author = ME if how == "expired" else PEER
    end_ms = NOW + 1 if how != "deleted" else None
    first = await told.message(author, "xylophone quintessence", expires_at_ms=end_ms)
    await told.message(author, encode(Edit(first, "zeppelin jurisdiction")))
    for number in range(100):
        await told.message(PEER, f"filler {number}")
    secrets = (b"ylophone", b"uintessence", b"eppelin", b"urisdiction")
    kept = _bytes_in(tmp_path)
    assert all(secret in kept for secret in secrets[2:])
    match how:
        case "deleted":
            await told.message(PEER, encode(Delete(first)))
        case "disappeared":
            assert told.history.pass_time(NOW + 1)
            await told.keep()
        case _:
            await told.tell(thread.Expired(first))
    kept = _bytes_in(tmp_path)
    assert not [secret for secret in secrets if secret in kept]
    assert len(await told.shown(now_ms=NOW + 1)) == (100 if how == "disappeared" else 101)


async def test_an_edit_that_comes_after_the_deletion_leaves_no_text(told: Told, tmp_path: Path) -> None:
    first = await told.message(PEER, "hello")
    await told.message(PEER, encode(Delete(first)))
    await told.message(PEER, encode(Edit(first, "zeppelin")))
    await told.message(PEER, "plain")
    assert b"zeppelin" not in _bytes_in(tmp_path)


@pytest.mark.parametrize("taken", [True, False])
async def test_ones_own_deletion_hides_at_once_and_removes_what_the_server_accepted(
    told: Told, tmp_path: Path, *, taken: bool
) -> None:
    first = await told.message(ME, "xylophone")
    await told.tell(thread.Accepted(first, 1, NOW))
    edit = await told.message(ME, encode(Edit(first, "zeppelin")))
    await told.tell(thread.Accepted(edit, 2, NOW))
    delete = await told.message(ME, encode(Delete(first)))
    assert [each.kind for each in await told.shown()] == ["deleted"]
    assert await told.found("zeppelin") == []
    await told.tell(thread.Accepted(delete, 3, NOW) if taken else thread.Failed(delete, "too_large"))
    kept = _bytes_in(tmp_path)
    assert (b"xylophone" in kept) == (b"zeppelin" in kept) == (not taken)
    assert [each.text for each in await told.shown()] == ([""] if taken else ["zeppelin"])
    assert await told.found("zeppelin") == ([] if taken else ["zeppelin"])


async def test_a_refused_edit_is_nowhere_in_the_file(told: Told, tmp_path: Path) -> None:
    first = await told.message(ME, "plain")
    edit = await told.message(ME, encode(Edit(first, "zeppelin")))
    assert await told.found("zeppelin") == ["zeppelin"]
    await told.tell(thread.Failed(edit, "too_large"))
    assert [each.text for each in await told.shown()] == ["plain"]
    assert await told.found("plain") == ["plain"]
    assert b"zeppelin" not in _bytes_in(tmp_path)


async def test_the_page_before_a_message_whose_id_came_twice_leaves_nothing_out(told: Told) -> None:
    """A peer may give two messages one id, from two devices: no page is found by an id."""
    id_ = await told.message(PEER, "one")
    await told.message(PEER, "two")
    await told.tell(thread.Written(PEER, "OTHER", id_, b"three", NOW, NOW, 9))
    await told.message(PEER, "four")
    last = await told.history.page(PEER, None, 2, NOW)
    first = await told.history.page(PEER, last.before, 2, NOW)
    assert [each.text for each in first.messages + last.messages] == ["one", "two", "three", "four"]


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ValueError, match="another program"):
        Database(path)
    path.unlink()
    Database(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 2")
    later.close()
    with pytest.raises(ValueError, match="later version"):
        Database(path)


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
