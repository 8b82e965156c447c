import asyncio
from contextlib import suppress
from itertools import islice

import pytest
from structlog.testing import capture_logs

from roost.errors import Unavailable
from roost.tasks import BackgroundTasks, backoff, insist, on_essential_failure


async def fail() -> None:
    raise ValueError("unexpected")


async def test_a_failure_is_logged_with_the_name_of_the_task() -> None:
    tasks = BackgroundTasks()
    with capture_logs() as lines:
        await asyncio.wait([tasks.spawn(fail()), tasks.spawn(fail(), "second")])
        await asyncio.sleep(0)
    assert [(line["event"], line["task"]) for line in lines] == [
        ("background_task_failed", "fail"),
        ("background_task_failed", "second"),
    ]
    assert str(lines[0]["exc_info"]) == "unexpected"
    assert len(tasks) == 0


async def test_cancelled_tasks_have_ended_and_say_nothing() -> None:
    tasks, ended = BackgroundTasks(), []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    tasks.spawn(wait())
    await asyncio.sleep(0)
    with capture_logs() as lines:
        await tasks.cancel()
    assert (ended, lines, len(tasks)) == ([True], [], 0)


async def test_a_task_that_loses_its_cancellation_is_named_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.tasks._CANCELLED_AGAIN_S", 0.01)
    tasks = BackgroundTasks()

    async def wait_once_more() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    tasks.spawn(wait_once_more(), "deaf")
    await asyncio.sleep(0)
    with capture_logs() as lines:
        await tasks.cancel()
    assert [(line["event"], line["tasks"]) for line in lines] == [("tasks_outlive_their_end", ["deaf"])]
    assert len(tasks) == 0


async def test_waiting_is_for_those_that_come_meanwhile_as_well() -> None:
    tasks, ended = BackgroundTasks(), []

    async def second() -> None:
        await asyncio.sleep(0)
        ended.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.spawn(second())
        ended.append("first")

    tasks.spawn(first())
    await tasks.wait()
    assert (ended, len(tasks)) == (["first", "second"], 0)


async def test_a_task_may_cancel_the_others() -> None:
    tasks = BackgroundTasks()
    other = tasks.spawn(asyncio.Event().wait())
    await tasks.spawn(tasks.cancel())
    assert other.cancelled()


async def test_only_an_essential_task_that_fails_is_told_of() -> None:
    tasks, told = BackgroundTasks(), []
    on_essential_failure(lambda task, failure: told.append((task, str(failure))))

    async def done() -> None:
        """End in order."""

    with capture_logs() as lines:
        tasks.spawn(fail())
        tasks.spawn(fail(), "loop", essential=True)
        tasks.spawn(done(), essential=True)
        tasks.spawn(asyncio.Event().wait(), essential=True)
        await asyncio.sleep(0)
        await tasks.cancel()
    assert told == [("loop", "unexpected")]
    assert [line["task"] for line in lines] == ["fail"], "one failure is one event"
    assert len(tasks) == 0


async def test_an_essential_task_that_fails_when_it_is_cancelled_is_an_ordinary_one() -> None:
    tasks, told = BackgroundTasks(), []
    on_essential_failure(lambda task, _: told.append(task))

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while it ended")

    tasks.spawn(run(), "loop", essential=True)
    await asyncio.sleep(0)
    with capture_logs() as lines:
        await tasks.cancel()
    assert (told, [line["task"] for line in lines]) == ([], ["loop"])


async def test_other_faults_of_the_event_loop_are_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    on_essential_failure(lambda *_: pytest.fail("it is of no task"))
    asyncio.get_running_loop().call_exception_handler({"message": "a callback failed"})
    assert [record.getMessage() for record in caplog.records] == ["a callback failed"]


def test_pauses_double_up_to_a_maximum() -> None:
    assert list(islice(backoff(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


class Away:
    """A server that is away for so many calls."""

    def __init__(self, calls: int, exception: Exception) -> None:
        self.calls, self.exception = calls, exception
        self.slept: list[float] = []

    async def call(self) -> str:
        self.calls -= 1
        if self.calls >= 0:
            raise self.exception
        return "here"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    away = Away(2, Unavailable("no store"))
    with capture_logs() as lines:
        assert await insist(away.call, "look_up_postponed", sleep=away.sleep) == "here"
    assert away.slept == [0.05, 0.1]
    assert [(line["event"], line["reason"]) for line in lines] == [("look_up_postponed", "no store")] * 2


async def test_another_exception_is_not_retried() -> None:
    away = Away(1, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await insist(away.call, "look_up_postponed", sleep=away.sleep)
    assert away.slept == []


async def test_the_last_failure_is_raised_when_the_pauses_run_out() -> None:
    away = Away(3, ConnectionError("away"))
    with pytest.raises(ConnectionError):
        await insist(away.call, "link_postponed", on=OSError, pauses=(1.0, 2.0), sleep=away.sleep)
    assert away.slept == [1.0, 2.0]
