"""Admission: what is refused when there is more to do than can be done, in which order, and when it ends."""

from collections import deque
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.sending.admission import REASONS, Admission, Bounds, Rejection
from api.sending.backlog import Backlog
from api.sending.flow import Flow

STEP_S = 0.01


class Queue:
    """A queue that is measured, with the rates that a test gives it."""

    def __init__(self, *, pauses: bool = False) -> None:
        self.flow = Flow(assumed=5_000, floor=100, pauses=pauses)
        self.now_s, self.left = 0.0, 0

    def run(self, rate: float, seconds: float, *, inside: int = 1_000) -> None:
        for _ in range(round(seconds * 10)):
            self.now_s += 0.101
            self.left += round(rate * 0.101)
            self.flow.look(self.now_s, self.left, inside)


def test_the_expected_wait_is_queue_length_over_rate() -> None:
    queue = Queue()
    assert queue.flow.wait_s(100) == 0.0
    assert queue.flow.wait_s(1_000) == 0.2
    queue.run(2_000, 1)
    assert queue.flow.wait_s(1_000) == pytest.approx(0.5, rel=0.05)


def test_an_idle_queue_says_nothing_about_its_rate() -> None:
    queue = Queue()
    queue.run(100, 3, inside=1)
    assert queue.flow.rate is None
    queue.run(2_000, 1)
    queue.run(100, 3, inside=1)
    assert queue.flow.rate == pytest.approx(2_000, rel=0.05)
    queue.run(100, 3, inside=1)
    assert queue.flow.rate is None


def test_a_queue_that_stands_still_is_long_whatever_it_did_before() -> None:
    queue = Queue()
    queue.run(2_000, 1)
    queue.run(0, 2)
    assert queue.flow.wait_s(1_000) > 5


def test_a_queue_that_is_faster_again_is_believed_at_once() -> None:
    queue = Queue()
    queue.run(100, 3)
    queue.run(4_000, 0.3)
    assert queue.flow.wait_s(1_000) < 0.3


def test_a_pause_is_not_taken_for_a_rate_of_zero() -> None:
    """What was measured: people who were away are loaded, all at once, while 8,000 records a second come."""
    flow = Flow(5_000.0, 1_000, pauses=True)
    flow.look(0.000, 0, 396)
    flow.look(0.100, 0, 1_317)
    assert flow.wait_s(2_100) < 0.6
    flow.look(0.202, 2_318, 0)
    assert flow.wait_s(1_500) < 0.3


@pytest.mark.parametrize("rate", [None, 9_000])
def test_a_pause_is_expected_to_last_as_long_again(rate: int | None) -> None:
    queue = Queue(pauses=True)
    if rate:
        queue.run(rate, 1)
    queue.run(0, 0.4)
    assert 0.25 < queue.flow.wait_s(1_000) < 0.6
    queue.run(0, 4)
    assert queue.flow.wait_s(1_000) > 4
    queue.run(9_000, 0.2)
    assert queue.flow.wait_s(1_000) < 0.5


def test_the_first_moment_of_a_queue_is_not_a_rate_of_zero() -> None:
    flow = Flow(4_000.0, 400)
    flow.look(0.0, 0, 500)
    flow.look(0.1, 0, 1_000)
    assert flow.wait_s(1_000) < 0.4
    for number in range(2, 8):
        flow.look(number / 10, 0, 1_000)
    assert flow.wait_s(1_000) > 0.8, "but where nothing is waited for, it is slow"


def test_a_burst_after_idleness_meets_no_pause() -> None:
    flow = Flow(5_000.0, 1_000, pauses=True)
    flow.look(0.0, 100, 0)
    flow.look(1.9, 100, 1_200)
    assert flow.wait_s(1_200) < 0.3
    flow.look(2.0, 100, 2_000)
    assert flow.wait_s(2_000) < 0.6


def test_the_first_few_after_a_pause_are_weak_evidence() -> None:
    flow = Flow(5_000.0, 1_000, pauses=True)
    flow.look(0.0, 0, 400)
    flow.look(0.1, 0, 1_200)
    flow.look(0.2, 100, 1_900)
    assert flow.wait_s(1_900) < 0.5
    for number in range(2, 12):
        flow.look(number / 10, number * 100, 1_200)
    assert flow.wait_s(1_200) > 0.7, "but it is slow"


def test_the_first_few_of_a_queue_are_weak_evidence() -> None:
    flow = Flow(5_000.0, 1_000, pauses=True)
    flow.look(0.0, 0, 400)
    flow.look(0.1, 20, 1_300)
    assert flow.wait_s(2_000) < 0.5
    flow.look(0.2, 20, 2_000)
    flow.look(0.3, 2_700, 10)
    assert flow.wait_s(2_000) < 0.3


def test_a_queue_that_pauses_every_now_and_then_is_as_fast_as_it_is_on_the_whole() -> None:
    flow, left = Flow(5_000.0, 1_000, pauses=True), 0
    for number in range(80):
        left += 400 if number % 4 == 3 else 0
        flow.look(number / 10, left, 2_000)
    assert flow.rate == pytest.approx(1_000, rel=0.1)


class Line:
    """One gateway, one shard and its host, as two queues with rates, in time of its own."""

    def __init__(self, accepts: float, handles: float, bounds: Bounds | None = None) -> None:
        self.accepts, self.handles = accepts, handles
        self.admission = Admission(bounds)
        self.now_s = 0.0
        self.waiting: deque[tuple[float, str]] = deque()
        self.logged: deque[float] = deque()
        self.end = self.handled = 0
        self.waits: list[float] = []
        self.deliveries: list[float] = []
        self.refusals: list[Rejection] = []
        self.most = 0
        self._random = Random(7)
        self._credit = [0.0, 0.0]

    def run(self, seconds: float, rate: float, devices: int = 200) -> None:
        """Let sends come at a rate, whoever was refused."""
        until_s, due, number = self.now_s + seconds, 0.0, 0
        while self.now_s < until_s:
            due += rate * STEP_S
            while due >= 1:
                due -= 1
                number += 1
                self.send(f"d{number % devices}")
            self.work()

    def send(self, device: str) -> None:
        refused = self.admission.refusal(device, 600, 0, self.now_s, self._random.random())
        if refused is None:
            self.admission.entered(device, 600, 0)
            self.waiting.append((self.now_s, device))
        else:
            self.refusals.append(refused)
        self.most = max(self.most, len(self.waiting) + len(self.logged))

    def work(self) -> None:
        self.now_s = round(self.now_s + STEP_S, 6)
        for stage, rate in enumerate((self.accepts, self.handles)):
            self._credit[stage] = min(self._credit[stage] + rate * STEP_S, max(1.0, rate * STEP_S * 2))
        while self.waiting and self._credit[0] >= 1:
            self._credit[0] -= 1
            came_s, device = self.waiting.popleft()
            self.admission.left(device, 600)
            self.waits.append(self.now_s - came_s)
            self.logged.append(self.now_s)
            self.end += 1
        while self.logged and self._credit[1] >= 1:
            self._credit[1] -= 1
            self.handled += 1
            self.deliveries.append(self.now_s - self.logged.popleft())
        if round(self.now_s / STEP_S) % 10 == 0:
            self.admission.look(self.now_s, 0.0)
            report = Backlog(self.handled, 0, 0, 0, 0.0)
            self.admission.backlogs.heard("host-0", 1, {0: report}, {0: self.end}, self.now_s)


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize(
    ("accepts", "handles"), [(2_000, 50_000), (50_000, 2_000), (500, 50_000), (50_000, 800)]
)
def test_an_overload_is_shed_and_ends_when_it_ends(accepts: float, handles: float, times: int) -> None:
    line, can = Line(accepts, handles), min(accepts, handles)
    line.run(2, can * 0.5)
    assert not line.refusals
    line.run(10, can * times)
    assert p99(line.waits) < 1.0
    assert p99(line.deliveries) < 1.6
    assert line.most < can * 0.8 + 1_000
    assert len(line.waits) > can * 10 * 0.85
    assert all(0.05 <= refused.wait_s <= 15.1 for refused in line.refusals)
    line.run(10, 100)
    line.refusals.clear()
    line.waits.clear()
    line.run(3, 100)
    assert not line.refusals
    assert p99(line.waits) <= 2 * STEP_S
    assert line.admission.shedding_since_s is None


def test_a_sudden_sixteenfold_overload_is_bounded_too() -> None:
    line = Line(50_000, 2_000)
    line.run(5, 32_000)
    assert line.most < 8_000
    line.deliveries.clear()
    line.run(5, 32_000)
    assert p99(line.deliveries) < 1.2


def test_a_thousand_that_wait_for_their_answers_are_never_refused() -> None:
    line, sent = Line(3_000, 3_000), 0
    for _ in range(1_000):
        while len(line.waiting) + len(line.logged) < 1_000:
            line.send(f"d{sent % 200}")
            sent += 1
            assert not line.refusals
        line.work()


@pytest.mark.parametrize(("accepts", "handles"), [(5_000, 50_000), (9_000, 9_000)])
def test_admitted_messages_wait_less_while_many_are_refused(accepts: float, handles: float) -> None:
    line = Line(accepts, handles)
    line.run(5, accepts * 3)
    line.waits.clear()
    line.run(5, accepts * 3)
    assert p99(line.waits) < 0.3
    assert len(line.waits) > accepts * 5 * 0.95, "and no less is done"
    line.run(4, 100)
    line.refusals.clear()
    for number in range(int(accepts * 0.39)):
        line.send(f"d{number % 200}")
    assert not line.refusals, "as before, once it is over"


def heard(admission: Admission, shard: int, backlog: Backlog, now_s: float, end: int = 0) -> None:
    admission.backlogs.heard("host-0", 4, {shard: backlog}, {shard: end}, now_s)


@pytest.mark.parametrize(
    "backlog",
    [
        Backlog(0, 0, 25_001, 0, 0.0),
        Backlog(0, 0, 1, 16 * 1024 * 1024 + 1, 0.0),
        Backlog(0, 0, 1, 0, 30.1),
        Backlog(0, 4_100, 0, 0, 0.0),
    ],
)
def test_a_shard_that_is_behind_refuses_and_the_others_do_not(backlog: Backlog) -> None:
    admission = Admission()
    heard(admission, 2, backlog, 10.0)
    refused = admission.refusal("d", 600, 2, 10.5, 0.5)
    assert refused is not None
    assert refused.error().code.word == "unavailable"
    assert refused.error().retry_after_s == refused.wait_s
    assert admission.refusal("e", 600, 1, 10.5, 0.5) is None
    assert admission.refusal("e", 600, None, 10.5, 0.5) is None


def test_inactive_users_are_loaded_without_refusals() -> None:
    """Eight shards of 100 people who are away, as told by their host, 0.1 s apart; then all are loaded."""
    told = (
        ((42, 41), (47, 46), (86, 85), (44, 43), (51, 50), (52, 51), (42, 41), (40, 39)),
        ((135, 134), (203, 202), (290, 289), (161, 160), (191, 190), (144, 143), (146, 145), (134, 133)),
        ((210, 0), (332, 0), (457, 0), (275, 0), (319, 0), (262, 0), (251, 0), (219, 0)),
    )
    admission, sent = Admission(), 0
    for step, shards in enumerate(told):
        now_s = 10.0 + step / 10
        backlogs = {
            n: Backlog(following, waiting, 0, 0, 0.1) for n, (following, waiting) in enumerate(shards)
        }
        ends = {n: backlog.following for n, backlog in backlogs.items()}
        admission.backlogs.heard("host-0", 8, backlogs, ends, now_s)
        for _ in range(800):
            assert admission.refusal(f"d{sent % 100}", 600, sent % 8, now_s + 0.05, 0.5) is None
            admission.entered(f"d{sent % 100}", 600, sent % 8)
            sent += 1
        for number in range(sent - 800, sent):
            admission.left(f"d{number % 100}", 600)
        admission.look(now_s + 0.1, 0.0)


def test_a_silent_host_delays_nothing() -> None:
    admission = Admission()
    heard(admission, 2, Backlog(0, 4_000, 9_000, 0, 40.0), 10.0)
    assert admission.refusal("d", 600, 2, 12.1, 0.5) is None
    assert admission.backlogs.wait_s(2, 12.1) == 0.0


def test_numbers_of_another_log_count_for_nothing() -> None:
    admission = Admission()
    heard(admission, 2, Backlog(100, 0, 0, 0, 0.0), 10.0, end=2**32 + 5)
    assert admission.refusal("d", 600, 2, 10.1, 0.5) is None


def test_admitted_messages_are_bounded_in_number_and_bytes() -> None:
    admission = Admission(Bounds(sends=300, size=100_000))
    for number in range(300):
        assert admission.refusal(f"d{number}", 100, None, 0.0, 0.5) is None
        admission.entered(f"d{number}", 100)
    assert admission.refusal("new", 100, None, 0.0, 0.5) is not None
    for number in range(300):
        admission.left(f"d{number}", 100)
    assert (admission.inside, admission.size, admission._of_device) == (0, 0, {})
    assert admission.refusal("large", 100_001, None, 0.0, 0.5) is not None
    assert admission.refused["size"] == 2


def test_a_device_that_waits_for_no_answer_is_refused_first() -> None:
    admission = Admission(Bounds(accept_s=0.4))
    for number in range(1_300):
        admission.entered("mad" if number < 100 else f"d{number}", 100)
    assert admission.refusal("patient", 100, None, 0.0, 0.5) is None
    refused = admission.refusal("mad", 100, None, 0.0, 0.5)
    assert refused is not None
    assert refused.reason == "accept"
    assert admission.refusal("patient", 100, None, 0.0, 0.5) is None


def test_a_process_that_lags_takes_less_and_one_that_stalled_once_does_not() -> None:
    admission = Admission()
    for number in range(200):
        admission.entered(f"d{number}", 100)
    admission.look(1.0, 0.5)
    assert admission.refusal("d", 100, None, 1.0, 0.5) is None
    admission.look(1.6, 0.5)
    refused = admission.refusal("d", 100, None, 1.6, 0.5)
    assert refused is not None
    assert refused.reason == "accept"
    admission.look(1.7, 0.0)
    assert admission.refusal("e", 100, None, 1.7, 0.5) is None


def test_unanswered_messages_per_device_are_bounded() -> None:
    admission = Admission(Bounds(device=3))
    for _ in range(3):
        assert admission.refusal("mad", 100, None, 0.0, 0.5) is None
        admission.entered("mad", 100)
    refused = admission.refusal("mad", 100, None, 0.0, 0.5)
    assert refused is not None
    assert refused.error().code.word == "rate_limited"


def test_a_client_returning_when_told_is_not_early() -> None:
    admission = Admission(Bounds(sends=1))
    admission.entered("other", 1)
    refused = admission.refusal("d", 1, None, 100.0, 0.123)
    assert refused is not None
    admission.left("other", 1)
    early = admission.refusal("d", 1, None, 100.0 + refused.wait_s / 2, 0.9)
    assert early is not None
    assert early.reason == "held"
    assert early.wait_s == pytest.approx(refused.wait_s / 2, abs=0.002)
    assert admission.refusal("d", 1, None, 100.0 + refused.wait_s, 0.9) is None


def test_devices_refused_together_return_at_different_times() -> None:
    admission = Admission(Bounds(sends=1))
    admission.entered("other", 1)
    random = Random(3)
    waits = []
    for number in range(200):
        refused = admission.refusal(f"d{number}", 1, None, 0.0, random.random())
        assert refused is not None
        waits.append(refused.wait_s)
    assert max(waits) >= 2.5 * min(waits)
    assert len({round(wait, 1) for wait in waits}) >= 10


def test_a_limiter_holds_the_device_so_that_nothing_passes_behind() -> None:
    admission = Admission()
    told_s = admission.limit("d", 0.002, 10.0, 0.0)
    assert told_s == 0.5
    refused = admission.refusal("d", 1, None, 10.01, 0.0)
    assert refused is not None
    assert refused.code == "rate_limited"
    assert refused.wait_s == pytest.approx(0.49, abs=0.002)


def test_the_end_of_shedding_is_reported_once() -> None:
    admission = Admission(Bounds(sends=1))
    admission.entered("other", 1)
    assert not admission.look(10.0, 0.0)
    assert admission.refusal("d", 1, None, 10.0, 0.5) is not None
    assert not admission.look(11.0, 0.0)
    assert admission.look(12.1, 0.0)
    assert not admission.look(13.0, 0.0)
    assert admission.shed == 1


class Pipeline:
    """Devices that send without waiting, and go back to the first refused message when its time has come."""

    def __init__(self, room: int, random: Random) -> None:
        self.admission = Admission(Bounds(sends=room, device=20))
        self.now_s = 0.0
        self.accepted: dict[str, list[int]] = {device: [] for device in "abc"}
        self.inside: deque[tuple[str, int]] = deque()
        self._random = random
        self._next = dict.fromkeys("abc", 0)
        self._again: dict[str, tuple[int, float]] = {}

    def send(self, device: str, count: int) -> None:
        if device in self._again and self.now_s >= self._again[device][1]:
            self._next[device], _ = self._again.pop(device)
        for _ in range(count):
            number = self._next[device]
            self._next[device] += 1
            refused = self.admission.refusal(device, 1, None, self.now_s, self._random.random())
            if refused is None:
                self.admission.entered(device, 1)
                self.inside.append((device, number))
            else:
                self._refused(device, number, refused)

    def answer(self, _device: str, count: int) -> None:
        for _ in range(min(count, len(self.inside))):
            device, number = self.inside.popleft()
            self.admission.left(device, 1)
            self.accepted[device].append(number)

    def fail(self, device: str, _count: int) -> None:
        """What a device has inside waits too long, all of it."""
        mine = [number for owner, number in self.inside if owner == device]
        self.inside = deque(each for each in self.inside if each[0] != device)
        for number in mine:
            self.admission.left(device, 1)
            luck = self._random.random()
            self._refused(device, number, self.admission.refuse(device, "queue", 0.0, self.now_s, luck))

    def let_pass(self, _device: str, count: int) -> None:
        self.now_s += count / 100
        self.admission.look(self.now_s, 0.0)

    def _refused(self, device: str, number: int, refused: Rejection) -> None:
        assert refused.reason in REASONS
        first, _ = self._again.get(device, (number, 0.0))
        self._again[device] = min(first, number), self.now_s + refused.wait_s


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "send", "answer", "fail", "let_pass"]),
            st.sampled_from("abc"),
            st.integers(1, 100),
        ),
        max_size=60,
    ),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_nothing_passes_a_refused_message_of_its_device(
    steps: list[tuple[str, str, int]], room: int, random: Random
) -> None:
    pipeline = Pipeline(room, random)
    for step, device, count in steps:
        getattr(pipeline, step)(device, count)
    for device in "abc":
        pipeline.answer(device, 1_000)
        pipeline.let_pass(device, 2_000)
        pipeline.send(device, 3)
    pipeline.answer("", 1_000)
    for numbers in pipeline.accepted.values():
        assert numbers == sorted(set(numbers))
    assert pipeline.admission.inside == len(pipeline.inside)


def test_a_fast_queue_that_is_never_full_is_not_taken_for_a_slow_one() -> None:
    """A flow of 9,000 a second, each here for 20 ms: nothing stands, whatever rate is assumed."""
    flow = Flow(2_500.0, 1_000)
    left = 0
    for number in range(50):
        left += 900
        flow.look(number * 0.1, left, 180)
    assert flow.wait_s(2_200) < 0.3
