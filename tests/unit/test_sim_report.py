"""The report of a made-up run: figures, recovery times, the page, the live screen."""

import io
import json
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from sim.checker import VIOLATIONS, Verdict, check
from sim.checker.verdict import Samples, percentiles
from sim.ledger import Event, Kind
from sim.report.figures import RunInfo, Usage, cpu_s, figures, roles
from sim.report.live import Progress, Screen
from sim.report.page import page
from sim.report.plots import Band, Line, Plot, figure, svg
from sim.report.recovery import Fault, recoveries
from tests.unit.ledger_world import ledgers
from tests.unit.report_world import FAULTS, SECOND, STARTED_US, history, run_info

SEED = 7
CONTRACT = {
    *("seed", "users", "sent", "accepted", "delivered", "acked", "read", "receipts", "pushes", "lost"),
    *("duplicated", "reordered", "undecryptable", "phantom", "acked_not_stored", "unverified", "latency_ms"),
    *("messages_per_s", "server_cpu_s_per_1000", "faults", "verdict"),
}
ALSO = {
    "receipt_without_delivery",
    "receipt_backwards",
    "missed",
    "failed",
    "environment",
    "command",
    "memory_mb",
}
VOID = {"meta", "link"}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return check(ledgers(tmp_path_factory.mktemp("run"), history(SEED)))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    events = history(SEED)
    received = [place for place, event in enumerate(events) if event.kind == Kind.RECEIVED]
    events[received[500]] = events[received[500]]._replace(digest=-1)
    lost = events[received[900]].id
    events = [e for e in events if e.id != lost or e.kind in {Kind.INTENT, Kind.ACCEPTED}]
    return check(ledgers(tmp_path_factory.mktemp("run"), events))


# -- figures


def test_the_figures_have_the_keys_of_the_contract(verdict: Verdict) -> None:
    found = figures(verdict, run_info(SEED))
    assert set(found) >= CONTRACT | ALSO
    assert set(found["latency_ms"]) == {"send_accept", "send_deliver", "deliver_receipt"}
    assert all(set(each) == {"p50", "p95", "p99", "max"} for each in found["latency_ms"].values())
    assert all(found[kind] == 0 for kind in VIOLATIONS)
    assert found["verdict"] == "holds"
    assert json.loads(json.dumps(found)) == found


def test_the_figures_say_what_happened(verdict: Verdict) -> None:
    run = run_info(SEED)
    found = figures(verdict, run)
    events = Counter(event.kind for event in history(SEED))
    assert found["sent"] == found["accepted"] == found["delivered"] == found["read"] == events[Kind.INTENT]
    assert found["receipts"] == 2 * found["sent"]
    assert found["messages_per_s"] == pytest.approx(found["sent"] / 60, rel=0.01)
    servers = sum(
        each.cpu_s for each in run.usage if each.role != "harness" and each.at_us == run.usage[-1].at_us
    )
    assert found["server_cpu_s_per_1000"] == pytest.approx(servers / found["sent"] * 1_000, rel=1e-3)
    assert list(found["memory_mb"])[-1] == "harness"
    assert found["memory_mb"]["harness"] == pytest.approx(264, abs=4)


def test_figures_given_are_not_computed(verdict: Verdict) -> None:
    run = run_info(SEED)
    run.messages_per_s, run.server_cpu_s_per_1000 = 123.0, 4.5
    found = figures(verdict, run)
    assert (found["messages_per_s"], found["server_cpu_s_per_1000"]) == (123.0, 4.5)


def test_a_run_without_messages_has_no_latency() -> None:
    found = figures(Verdict(), RunInfo(seed=1, users=0, command="", started_us=0, ended_us=0))
    assert set(found["latency_ms"]["send_accept"].values()) == {None}
    assert found["messages_per_s"] is None
    assert found["server_cpu_s_per_1000"] is None


def test_percentiles_are_of_the_nearest_rank() -> None:
    found = percentiles(range(1_000, 101_000, 1_000))
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)
    assert percentiles([7_000]).p99 == 7


def test_the_time_of_a_killed_process_is_not_subtracted() -> None:
    assert cpu_s([Usage(n, "host", used, 1) for n, used in enumerate((1.0, 3.0, 0.5, 1.5))]) == 3.0


def test_the_harness_is_the_last_role() -> None:
    assert list(roles(run_info(SEED)))[-1] == "harness"


# -- recovery


def test_recovery_is_measured_on_the_messages(verdict: Verdict) -> None:
    found = figures(verdict, run_info(SEED))["faults"]
    for told, (name, target, strikes_s, took_s, until_s, _) in zip(found, FAULTS, strict=True):
        assert (told["name"], told["target"]) == (name, target)
        assert (told["begins_s"], told["ends_s"]) == (strikes_s, strikes_s + took_s)
        assert told["recovery_s"] == pytest.approx(until_s - strikes_s, abs=0.1)


def samples(*spans: tuple[float, float, int]) -> Samples:
    """Return a message every 20 ms: from, to (seconds) and its milliseconds."""
    found = Samples()
    for begins_s, ends_s, took_ms in spans:
        for at_us in range(int(begins_s * SECOND), int(ends_s * SECOND), 20_000):
            found.add(at_us, took_ms * 1_000)
    return found


def strike(at_s: float) -> Fault:
    return Fault("kill", "host", int(at_s * SECOND), int(at_s * SECOND))


def test_a_fault_without_effect_has_no_recovery_time() -> None:
    assert recoveries(samples((0, 20, 10)), [strike(10)], 20 * SECOND) == [0.0]


def test_recovery_ends_with_the_last_slow_delivery() -> None:
    # What is sent from 12.98 s on takes 10 ms again; the last slow one was sent at 12.96 and took 1 s.
    found = recoveries(samples((0, 10, 10), (10, 12.98, 1_000), (12.98, 20, 10)), [strike(10)], 20 * SECOND)
    assert found == [pytest.approx(3.96)]


def test_messages_in_flight_at_the_strike_count() -> None:
    slow = samples((0, 9.9, 10), (9.98, 10, 2_000), (10.9, 20, 10))
    # In flight no longer than normal: it was sent 20 ms before the strike, twice the p99 is 20 ms.
    assert recoveries(slow, [strike(10)], 20 * SECOND) == [pytest.approx(1.98)]


def test_one_slow_message_in_a_hundred_is_not_a_disturbance() -> None:
    found = samples((0, 10, 10), (10, 20, 10))
    found.add(11 * SECOND, 4 * SECOND)
    assert recoveries(found, [strike(10)], 20 * SECOND) == [0.0]


def test_an_unobserved_recovery_is_not_reported() -> None:
    assert recoveries(samples((0, 10, 10), (10, 20, 1_000)), [strike(10)], 20 * SECOND) == [None]


def test_the_next_fault_ends_the_search() -> None:
    sent = samples((0, 10, 10), (10, 14, 1_000), (14, 16, 10), (16, 17, 900), (17, 30, 10))
    assert recoveries(sent, [strike(16), strike(10)], 30 * SECOND) == [pytest.approx(1.88), None]


def test_without_messages_before_the_strike_recovery_is_unknown() -> None:
    assert recoveries(samples((1, 20, 10)), [strike(1)], 20 * SECOND) == [None]
    assert recoveries(samples((1, 20, 10)), [strike(1.3)], 20 * SECOND) == [None]
    assert recoveries(samples((0, 20, 10)), [], 20 * SECOND) == []


# -- the page


class Reader(HTMLParser):
    """Notes what the page consists of, and that what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.references: list[str] = []
        self.under: Counter[tuple[str, str]] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.ids.update([known["id"]] if "id" in known else [])
        self.references += known.get("aria-labelledby", "").split()
        self.addresses += [known[name] for name in ("src", "href", "action", "data") if name in known]
        if self.open:
            self.under[self.open[-1], tag] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_loads_nothing(broken: Verdict) -> None:
    text = page(broken, run_info(SEED))
    reader = read(text)
    assert reader.addresses == ["data:,"]
    assert "script" not in reader.tags
    assert "url(" not in text
    assert "@import" not in text
    assert max(reader.ids.values()) == 1
    assert set(reader.references) <= set(reader.ids)
    # Each plot for a wide and for a narrow screen.
    assert reader.under["svg", "title"] == reader.under["svg", "desc"] == 4
    assert reader.tags["table"] == reader.tags["thead"] == 5
    assert reader.under["tr", "th"] > reader.tags["tr"]
    assert text.count("prefers-color-scheme: dark") == 1


def test_the_page_of_a_good_run_says_so_first(verdict: Verdict) -> None:
    text = page(verdict, run_info(SEED))
    assert text.index(">Holds<") < text.index("<svg")
    assert f"All {verdict.totals.sent:,} accepted messages are accounted for" in text
    assert "and in the server&#x27;s own store" in text
    assert "Stories" not in text
    for name, target, *_ in FAULTS:
        assert f">{name} {target}</text>" in text


def test_the_page_of_a_bad_run_tells_the_stories(broken: Verdict) -> None:
    text = page(broken, run_info(SEED))
    assert ">Violated<" in text
    assert broken.counts["phantom"] == broken.counts["lost"] == 1
    for story in broken.stories:
        assert story.title in unescape(text)
        assert all(line in unescape(text) for line in story.lines)


def test_the_page_of_nothing_claims_nothing() -> None:
    text = page(Verdict(), RunInfo(seed=1, users=0, command="", started_us=0, ended_us=0))
    read(text)
    assert "Nothing was sent" in text
    assert ">Holds<" not in text


def test_the_page_carries_the_figures(verdict: Verdict) -> None:
    found = figures(verdict, run_info(SEED))
    text = page(verdict, run_info(SEED), found)
    raw = text[text.index("<pre>{") + 5 : text.rindex("</pre>")]
    assert json.loads(unescape(raw)) == found


def test_foreign_text_is_never_treated_as_markup(tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    events = [
        Event(STARTED_US, Kind.DEVICE, "bob", evil),
        Event(STARTED_US + 1, Kind.UNDECRYPTABLE, "bob", evil, evil, evil, 1, 0, evil),
        Event(STARTED_US + 1, Kind.FAULT, "", note=evil),
    ]
    run = run_info(SEED)
    run.faults = [Fault(evil, evil, STARTED_US, STARTED_US)]
    run.usage = [Usage(STARTED_US, evil, 1, 1)]
    run.environment = {evil: evil}
    run.remarks = [evil]
    run.command = run.date = evil
    text = page(check(ledgers(tmp_path, events)), run)
    assert "script" not in read(text).tags
    assert text.count("&lt;script&gt;") > 12


def test_the_same_run_gives_the_same_page(verdict: Verdict) -> None:
    assert page(verdict, run_info(SEED)) == page(verdict, run_info(SEED))


# -- plots


def plotted(*points: tuple[float, float | None], logarithmic: bool = False) -> str:
    return svg(Plot("t", "d", "ms", [Line("p50", "s1", list(points))], [], 10, logarithmic), "n", 400, 200)


def test_a_gap_in_a_line_stays_a_gap() -> None:
    path = plotted((0, 1), (1, 2), (2, None), (3, 1), (4, 1)).split(' d="')[1].split('"')[0]
    assert path.count("M") == 2
    assert path.count("L") == 2


@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("values", [(), (0,), (0, 0), (1e-3,), (1e9, 2)])
def test_any_values_can_be_drawn(values: tuple[float, ...], logarithmic: bool) -> None:  # noqa: FBT001
    text = plotted(*enumerate(values), logarithmic=logarithmic)
    read(text)
    assert "nan" not in text
    assert "inf" not in text


def test_names_of_faults_that_strike_together_do_not_meet() -> None:
    bands = [Band("kill host-1", 1, 1), Band("pause broker", 1.1, 2), Band("kill gateway", 9.9, 10)]
    text = figure(Plot("t", "d", "ms", [Line("p50", "s1", [(0, 1)])], bands, 10), "n")
    heights = [part.split('y="')[1].split('"')[0] for part in text.split('<text class="fault"')[1:4]]
    assert heights[0] == heights[2] != heights[1]


# -- the live screen


class Watched:
    """A screen with a clock that the test turns."""

    def __init__(self, *, terminal: bool) -> None:
        self.now = 0
        self.out = io.StringIO()
        self.progress = Progress(started_us=0, ends_us=60 * SECOND, users=2_000, online=1_987)
        console = Console(file=self.out, force_terminal=terminal, width=90 if terminal else 300)
        self.screen = Screen(self.progress, console, clock=lambda: self.now)

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 4)):
            self.now += SECOND // 4
            self.progress.sent += 75
            self.progress.accepted += 74
            self.progress.delivered += 73
            self.progress.p50_ms = self.progress.p99_ms = 20
            self.screen.refresh()


def test_without_a_terminal_there_is_a_line_every_few_seconds() -> None:
    watched = Watched(terminal=False)
    watched.progress.faults.append((12 * SECOND, "kill [host-2]"))
    with watched.screen:
        watched.run(21)
    lines = watched.out.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[-1] == (
        "40 s left, sending; 6,000 sent in all; 300 sent/s; 296 accepted/s; 292 delivered/s;"
        " p50 20 ms, p99 20 ms; 1,987 of 2,000 online; 160 in flight; 0 failed; 0 problems"
    )
    assert ["+12.0 s kill [host-2]" in line for line in lines] == [True, True, True, False]


def test_in_a_terminal_all_is_on_one_screen() -> None:
    watched = Watched(terminal=True)
    for number in range(7):
        watched.progress.faults.append((number * SECOND, f"kill [host-{number}]"))
    watched.run(30)
    console = Console(file=io.StringIO(), width=90)
    console.print(watched.screen.picture(watched.now))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for part in (
        "30 s left",
        "300",
        "9,000",
        "p50 20 ms",
        "1,987 of 2,000 online",
        "240 in flight",
        "0 problems",
    ):
        assert part in text
    assert "kill [host-1]" not in text
    assert "kill [host-6]" in text


def test_the_screen_goes_away_at_the_end() -> None:
    watched = Watched(terminal=True)
    with watched.screen:
        watched.run(1)
        shown = watched.out.getvalue()
    assert "Roost simulation: sending" in shown
    assert "\x1b[?25h" in watched.out.getvalue()[len(shown) :]


def test_after_the_end_the_screen_says_how_long_ago_it_was() -> None:
    watched = Watched(terminal=False)
    watched.now = 63 * SECOND
    assert watched.screen.line(watched.now).plain.startswith("3 s over time")
    watched.progress.p50_ms = 0
    assert "p50 none" in watched.screen.line(watched.now).plain


def test_the_latency_is_shown() -> None:
    watched = Watched(terminal=False)
    watched.progress.p50_ms, watched.progress.p99_ms = 12.5, 140.0
    assert "p50 12.5 ms, p99 140 ms" in watched.screen.line(0).plain
