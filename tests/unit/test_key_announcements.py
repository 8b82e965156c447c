"""Who is told of a changed key, and what becomes of it when the store fails in between."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.identity import key_announcements
from api.identity.key_announcements import KeyAnnouncements
from roost.errors import Unavailable
from storage.account_rows import Device
from storage.mailbox_rows import Conversation
from storage.records import KeysRecord, decode_record


class World:
    """The store, the log and the other gateways; the store's answers are given one after the other."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.accounts = self.mailboxes = self.conversations = self
        self.answers = list(answers)
        self.told: list[str] = []
        self.changed: list[str] = []
        self.records = 1
        store: Any = self
        self.announcements = KeyAnnouncements(store, self, store, lambda: 1_795_000_000_000)

    async def user_changed(self, user: str) -> None:
        self.changed.append(user)

    async def of_user(self, user: str) -> list[Conversation]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        stranger = Conversation(user, "who never answered", "stranger", delivered_seq=7)
        return [stranger, *(Conversation(user, peer, peer, heard=1) for peer in answer)]

    async def summary(self, _user: str, _limit: int) -> dict[str, Any]:
        return {}

    async def devices_of(self, users: list[str], *, opened: bool = True) -> dict[str, list[Device]]:
        del opened  # nothing is sealed here
        return {user: [] for user in users}

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[int | Unavailable]:
        for to, value in records:
            record = decode_record(value)
            assert isinstance(record, KeysRecord)
            assert (record.user, record.device, record.change) == ("u-ann", "PHONE", "added")
            self.told.append(to)
        return [7 for _ in records]

    async def announced(self) -> None:
        await self.announcements.announce("u-ann", "ann", "PHONE", "added")
        async with asyncio.timeout(5):
            await self.announcements._tasks.wait()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_announcements, "_ROWS_S", 0.0)


async def test_late_contacts_are_told_late_and_no_one_twice() -> None:
    world = World(["ben"], Unavailable("The store is away."), ["ben", "cat"])
    await world.announced()
    assert (world.changed, world.told) == (["u-ann"], ["ben", "cat"])


async def test_pending_announcements_are_sent_when_the_gateway_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_announcements, "_ROWS_S", 60.0)
    world = World(Unavailable("The store is away."), ["ben"])
    await world.announcements.announce("u-ann", "ann", "PHONE", "added")
    assert world.told == []
    await world.announcements.close()
    assert world.told == ["ben"]


async def test_an_unexpected_failure_is_logged() -> None:
    world = World([], ValueError("a row that cannot be read"))
    with capture_logs() as lines:
        await world.announced()
    assert [(line["event"], line["task"]) for line in lines] == [
        ("background_task_failed", "key announcement")
    ]
