"""The rules of a light client: lanes, what is sent again and when, acknowledgements."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from roost import wire
from roost.client.effects import Batch
from sim.people.light_stream import Counts, LightStream, Manner, Sent

LANES = Manner(one_in_flight=True)


class App:
    """A phone whose connection takes everything, unless it is told not to."""

    def __init__(self, manner: Manner) -> None:
        self.written: list[str] = []
        self.acked: list[int] = []
        self.done: list[tuple[str, Any]] = []
        self.came: list[int] = []
        self.addressed = True
        self.counts = Counts()
        self.stream = LightStream(self, manner, self.counts)

    def write(self, sent: Sent) -> bool:
        if self.addressed:
            self.written.append(sent.frame.id)
        return self.addressed

    def acknowledge(self, seq: int) -> None:
        self.acked.append(seq)

    def accepted(self, sent: Sent, seq: int) -> None:
        self.done.append((sent.frame.id, seq))

    def given_up(self, sent: Sent, code: str) -> None:
        self.done.append((sent.frame.id, code))

    def arrived(self, entries: Sequence[Any]) -> None:
        self.came += [entry.seq for entry in entries]

    def begin(self, cursor: int = 10) -> None:
        self.stream.take(wire.Ready("DEVICE", cursor, 0))

    def send(self, *names: str) -> None:
        """Send messages, each named by its recipient and a number."""
        for name in names:
            self.stream.send(Sent(wire.Send(name, name[0], 0, "plain", {"D": b"x"})))

    def accept(self, name: str, seq: int = 1) -> None:
        self.stream.take(wire.Accepted(name, seq, 0))

    def reject(self, name: str, code: str, retry_after_s: float | None = None) -> None:
        self.stream.take(wire.Rejected(name, code, "", retry_after_s))


def receipt(seq: int) -> wire.ReceiptEntry:
    return wire.ReceiptEntry(seq, seq - 1, 0, "ann", 1, 0)


async def test_one_message_for_each_recipient_is_on_its_way() -> None:
    app = App(LANES)
    app.begin()
    app.send("a1", "a2", "b1")
    assert (app.written, app.stream.unanswered) == (["a1", "b1"], 3)
    app.accept("a1", 7)
    assert (app.written, app.done) == (["a1", "b1", "a2"], [("a1", 7)])
    app.accept("a1", 7)
    assert app.done == [("a1", 7)], "a repeated answer is none"


async def test_all_at_once_where_the_manner_says_so() -> None:
    app = App(Manner())
    app.begin()
    app.send("a1", "a2", "b1")
    assert app.written == ["a1", "a2", "b1"]


async def test_what_has_no_answer_is_sent_again_in_its_order_over_the_next_connection() -> None:
    app = App(Manner())
    app.send("a1")
    app.begin()
    app.send("a2", "a3")
    app.accept("a2")
    app.stream.take(Batch([receipt(12)]))
    app.stream.lost()
    app.send("a4")
    assert app.written == ["a1", "a2", "a3"]
    app.begin(cursor=3)
    assert app.written[3:] == ["a1", "a3", "a4"]
    assert (app.stream.cursor, app.acked) == (12, [12]), "the last acknowledgement may have been lost"


async def test_what_cannot_be_addressed_waits_for_that() -> None:
    app = App(LANES)
    app.begin()
    app.addressed = False
    app.send("a1")
    app.addressed = True
    app.stream.write_unwritten()
    app.stream.write_unwritten()
    assert app.written == ["a1"]


async def test_what_waits_too_long_for_an_answer_is_sent_again() -> None:
    app = App(Manner())
    app.begin()
    app.send("a1")
    now_s = asyncio.get_running_loop().time()
    app.stream.write_again(now_s - 1)
    assert app.written == ["a1"]
    app.stream.write_again(now_s + 1)
    assert (app.written, app.counts.repeated) == (["a1", "a1"], 1)


@pytest.mark.parametrize("retry_after_s", [0.001, None], ids=["after its time", "without a time"])
async def test_a_refusal_for_now_is_insisted_on(
    monkeypatch: pytest.MonkeyPatch, retry_after_s: float | None
) -> None:
    monkeypatch.setattr("sim.people.light_stream._AGAIN_S", 0.001)
    app = App(LANES)
    app.begin()
    app.send("a1", "a2")
    app.reject("a1", "rate_limited", retry_after_s)
    assert (app.written, app.done) == (["a1"], [])
    async with asyncio.timeout(5):
        while len(app.written) < 2:
            await asyncio.sleep(0)
    assert app.written == ["a1", "a1"], "the next of the lane waits behind it"
    assert app.counts.untimed == (retry_after_s is None)


@pytest.mark.parametrize(
    ("manner", "code"),
    [
        (LANES, "too_large"),
        (LANES, "device_mismatch"),
        (LANES, "a_word_of_a_later_version"),
        (Manner(one_in_flight=True, insists=False), "rate_limited"),
    ],
    ids=["for good", "after a change only", "unknown", "not insisted on"],
)
async def test_what_is_given_up_lets_the_next_go(manner: Manner, code: str) -> None:
    app = App(manner)
    app.begin()
    app.send("a1", "a2")
    app.reject("a1", code, 1.0)
    assert (app.written, app.done) == (["a1", "a2"], [("a1", code)])
    assert app.counts.refusals == {code: 1}


async def test_a_patient_device_is_silent_for_the_time_that_it_was_told() -> None:
    app = App(Manner(patient=True))
    app.begin()
    app.send("a1")
    app.reject("a1", "rate_limited", 3.0)
    left_s = app.stream.silent_until_s - asyncio.get_running_loop().time()
    assert 2.5 < left_s <= 3.0


async def test_what_came_is_acknowledged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.people.light_stream._ACK_S", 0.0)
    app = App(LANES)
    app.begin()
    app.stream.take(Batch([receipt(11), receipt(12)]))
    app.stream.take(Batch([receipt(13)]))
    await asyncio.sleep(0.001)
    assert (app.came, app.acked) == ([11, 12, 13], [13])
    app.stream.take(wire.Missed())
    assert app.counts.problems == {"missed": 1}
