"""A run while it goes on: a screen in a terminal, or a line now and then where there is none."""

from collections import deque
from collections.abc import Callable
from typing import Self

from msgspec import Struct, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sim.ledger import now_us
from sim.report.plots import number

NOW_US = 3_000_000
"""Rates are of this last time."""

LINE_US = 5_000_000
"""Between two lines where there is no terminal."""

FAULTS = 5


class Progress(Struct):
    """What the runner updates, and the screen shows.

    Attributes:
        started_us: When the first message could be sent, on the ledger's clock.
        ends_us: When the last one can be.
        users: Virtual users.
        online: How many of them are connected.
        phase: What goes on, in a word or two.
        sent: Messages handed to an SDK.
        accepted: Messages whose sender was told so.
        delivered: Messages that an app was told.
        failed: Messages given up.
        problems: What looked wrong while it happened; the checker alone says what was.
        p50_ms: Median time from the send to the delivery, of the last messages; None or 0 if nothing came.
        p99_ms: The same of the slowest hundredth.
        faults: When a fault struck or ended and what it is, newest last.
    """

    started_us: int
    ends_us: int
    users: int
    online: int = 0
    phase: str = "sending"
    sent: int = 0
    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    problems: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    faults: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=FAULTS))

    @property
    def in_flight(self) -> int:
        """Messages of which neither the delivery nor the end is known."""
        return max(0, self.sent - self.delivered - self.failed)


class Screen:
    """Shows a `Progress`; call `refresh` a few times each second. It has no thread of its own.

    Args:
        progress: What to show.
        console: Where to; by default stderr, for stdout is the figures'.
        clock: The ledger's.
    """

    def __init__(
        self, progress: Progress, console: Console | None = None, clock: Callable[[], int] = now_us
    ) -> None:
        self._progress = progress
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal
            else None
        )
        self._past: deque[tuple[int, int, int, int]] = deque([self._mark()])
        self._line_us = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def refresh(self) -> None:
        """Show what is so now."""
        now = self._clock()
        mark = self._mark()
        self._past.append(mark)
        while len(self._past) > 2 and self._past[1][0] <= now - NOW_US:  # noqa: PLR2004 - a beginning and an end
            self._past.popleft()
        if self._live is not None:
            self._live.update(self.picture(now), refresh=True)
        elif now - self._line_us >= LINE_US:
            self._line_us = now
            self._console.print(self.line(now), soft_wrap=True)

    def line(self, now: int) -> Text:
        """Return all in one line."""
        progress, (sent, accepted, delivered) = self._progress, self._rates()
        p50, p99 = self._latency()
        told = [
            f"{self._left(now)}, {progress.phase}",
            f"{progress.sent:,} sent in all",
            f"{sent:.0f} sent/s",
            f"{accepted:.0f} accepted/s",
            f"{delivered:.0f} delivered/s",
            f"p50 {p50}, p99 {p99}",
            f"{progress.online:,} of {progress.users:,} online",
            f"{progress.in_flight:,} in flight",
            f"{progress.failed:,} failed",
            f"{progress.problems:,} problems",
            *(f"{self._at(at_us)} {what}" for at_us, what in progress.faults if at_us > now - LINE_US),
        ]
        return Text("; ".join(told))

    def picture(self, now: int) -> RenderableType:
        """Return the screen."""
        progress = self._progress
        span = max(1, progress.ends_us - progress.started_us)
        done = min(span, max(0, now - progress.started_us))
        bar = Table.grid(expand=True, padding=(0, 1))
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(ProgressBar(total=span, completed=done), Text(self._left(now)))
        return Panel(
            Group(bar, Text(), self._counts(), Text(), self._ledger(), *self._faults()),
            title=Text(f"Roost simulation: {progress.phase}"),
            title_align="left",
            width=min(88, self._console.width),
        )

    def _counts(self) -> Table:
        progress = self._progress
        table = Table.grid(expand=True, padding=(0, 2))
        table.add_column()
        for _ in range(3):
            table.add_column(justify="right", ratio=1)
        table.add_row(*(Text(word, style="dim") for word in ("", "sent", "accepted", "delivered")))
        table.add_row(Text("now, each second", style="dim"), *(f"{rate:,.0f}" for rate in self._rates()))
        totals = (progress.sent, progress.accepted, progress.delivered)
        table.add_row(Text("in all", style="dim"), *(Text(f"{total:,}", style="bold") for total in totals))
        p50, p99 = self._latency()
        table.add_row(Text("latency", style="dim"), "", f"p50 {p50}", f"p99 {p99}")
        return table

    def _ledger(self) -> Text:
        progress = self._progress
        parts = [
            (f"{progress.online:,}", ""),
            (f" of {progress.users:,} online    ", "dim"),
            (f"{progress.in_flight:,}", ""),
            (" in flight    ", "dim"),
            (f"{progress.failed:,}", "yellow" if progress.failed else ""),
            (" failed    ", "dim"),
            (f"{progress.problems:,}", "bold red" if progress.problems else "green"),
            (" problems", "dim"),
        ]
        return Text.assemble(*parts)

    def _faults(self) -> list[Text]:
        return [Text(f"{self._at(at_us):>10}  {what}", style="red") for at_us, what in self._progress.faults]

    def _mark(self) -> tuple[int, int, int, int]:
        progress = self._progress
        return self._clock(), progress.sent, progress.accepted, progress.delivered

    def _rates(self) -> tuple[float, float, float]:
        first, last = self._past[0], self._past[-1]
        span_s = (last[0] - first[0]) / 1e6
        if span_s <= 0:
            return 0.0, 0.0, 0.0
        sent, accepted, delivered = ((last[n] - first[n]) / span_s for n in (1, 2, 3))
        return sent, accepted, delivered

    def _latency(self) -> tuple[str, str]:
        """Return p50 and p99 of the last deliveries."""
        return _milliseconds(self._progress.p50_ms), _milliseconds(self._progress.p99_ms)

    def _left(self, now: int) -> str:
        left_us = self._progress.ends_us - now
        return f"{-(-left_us // 1_000_000)} s left" if left_us > 0 else f"{-left_us // 1_000_000} s over time"

    def _at(self, at_us: int) -> str:
        return f"+{(at_us - self._progress.started_us) / 1e6:.1f} s"


def _milliseconds(value: float | None) -> str:
    return f"{number(value)} ms" if value else "none"
