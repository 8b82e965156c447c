"""Plots of lines over time as SVG: axes, bands for faults, labels at the ends. No library, no script."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from msgspec import Struct

Point = tuple[float, float | None]
"""Seconds and a value; None is a gap."""

ROW = 18
"""Height of a row of fault names, and the least distance of two labels."""


class Line(Struct, frozen=True):
    """One line of a plot.

    Attributes:
        name: Stands at its end.
        style: CSS class that colours it.
        points: In the order of time.
    """

    name: str
    style: str
    points: list[Point]


class Band(Struct, frozen=True):
    """A fault: a span of seconds with a name."""

    name: str
    begins_s: float
    ends_s: float


class Plot(Struct, frozen=True):
    """What to draw.

    Attributes:
        title: Read to those who cannot see it, with `description`.
        description: What there is to see, in a sentence.
        unit: Follows the values.
        lines: At least one.
        bands: Faults.
        until_s: End of the time axis, which begins at 0.
        logarithmic: Draw powers of ten at equal distances.
    """

    title: str
    description: str
    unit: str
    lines: list[Line]
    bands: list[Band]
    until_s: float
    logarithmic: bool = False


class _Frame(Struct, frozen=True):
    """Where a plot's values are on the picture."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    until_s: float
    scale: Callable[[float], float]

    def x(self, seconds: float) -> float:
        share = min(1.0, max(0.0, seconds / self.until_s))
        return self.left + share * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, self.scale(value)))
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def figure(plot: Plot, name: str) -> str:
    """Return a plot for wide and for narrow screens, one of which the style sheet hides.

    Args:
        plot: What to draw.
        name: Makes ids on the page unique.
    """
    wide = svg(plot, f"{name}-wide", 960, 300)
    narrow = svg(plot, f"{name}-narrow", 380, 280)
    return f'<div class="plot wide">{wide}</div><div class="plot narrow">{narrow}</div>'


def svg(plot: Plot, name: str, width: float, height: float) -> str:
    """Return a plot as an SVG element of a size in pixels."""
    rows, count = _rows(plot.bands, plot.until_s, width)
    frame, ticks = _frame(plot, width, height, 12 + ROW * count)
    parts = [
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(plot.title)}</title>',
        f'<desc id="{name}-d">{escape(plot.description)}</desc>',
        *_bands(plot.bands, rows, frame),
        *_grid(ticks, plot.unit, frame),
        *_seconds(frame),
        *(f'<path class="line {line.style}" d="{_path(line.points, frame)}"/>' for line in plot.lines),
        *_labels(plot.lines, frame),
        *_tips(plot, frame),
        "</svg>",
    ]
    return "".join(parts)


def sparkline(points: Sequence[tuple[float, float]], bands: Sequence[Band], until_s: float) -> str:
    """Return a small line from 0 to its peak; what it says stands beside it, so it is not read aloud."""
    peak = max((value for _, value in points), default=0) or 1
    frame = _Frame(220, 36, 1, 1, 3, 3, max(until_s, 1), lambda value: value / peak)
    shades = "".join(
        f'<rect class="band" x="{frame.x(band.begins_s):.1f}" y="0"'
        f' width="{max(1.5, frame.x(band.ends_s) - frame.x(band.begins_s)):.1f}" height="36"/>'
        for band in bands
    )
    path = _path(list(points), frame)
    return (
        '<svg class="spark" viewBox="0 0 220 36" preserveAspectRatio="none" aria-hidden="true">'
        f'{shades}<path class="line s1" d="{path}"/></svg>'
    )


def _frame(plot: Plot, width: float, height: float, top: float) -> tuple[_Frame, list[float]]:
    values = [value for line in plot.lines for _, value in line.points if value is not None]
    if plot.logarithmic:
        positive = [value for value in values if value > 0] or [1.0]
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        high = max(high, low + 1)
        ticks = [10.0**power for power in range(low, high + 1)]

        def scale(value: float) -> float:
            return (math.log10(value) - low) / (high - low) if value > 0 else 0.0
    else:
        step = _step(max(values, default=1.0) or 1.0, 4)
        ticks = [step * n for n in range(math.ceil((max(values, default=0.0) or 1.0) / step) + 1)]

        def scale(value: float) -> float:
            return value / ticks[-1]

    names = max(len(line.name) for line in plot.lines)
    numbers = max(len(_tick(tick, ticks, plot.unit)) for tick in ticks)
    # The same margins for most plots, so that they can be read one below the other.
    left, right = max(64, 12 + 6.6 * numbers), max(78, 12 + 7.2 * names)
    return _Frame(width, height, left, right, top, 28, max(plot.until_s, 1e-3), scale), ticks


def _tick(tick: float, ticks: Sequence[float], unit: str) -> str:
    return f"{number(tick)} {unit}" if tick == ticks[-1] else number(tick)


def _step(span: float, count: int) -> float:
    """Return 1, 2 or 5 times a power of ten that divides a span into about a number of steps."""
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def _path(points: Sequence[Point], frame: _Frame) -> str:
    parts: list[str] = []
    pen = "M"
    for seconds, value in points:
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{frame.x(seconds):.1f} {frame.y(value):.1f}")
        pen = "L"
        # A single point between two gaps is still to be seen.
    return "".join(parts) + ("h0.01" if len(parts) == 1 else "")


def number(value: float) -> str:
    """Return a number as people write it: three digits, thousands with commas."""
    if value >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _grid(ticks: list[float], unit: str, frame: _Frame) -> Iterator[str]:
    for tick in ticks:
        y = frame.y(tick)
        text = _tick(tick, ticks, unit)
        right = frame.width - frame.right
        yield f'<line class="grid" x1="{frame.left}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        place = f'x="{frame.left - 6}" y="{y + 4:.1f}" text-anchor="end"'
        yield f'<text class="tick" {place}>{escape(text)}</text>'


def _seconds(frame: _Frame) -> Iterator[str]:
    step = _step(frame.until_s, 6 if frame.width > 500 else 4)  # noqa: PLR2004
    y = frame.height - frame.bottom + 18
    for n in range(int(frame.until_s / step + 1e-9) + 1):
        text = f"{number(n * step)} s" if n == 0 else number(n * step)
        yield f'<text class="tick" x="{frame.x(n * step):.1f}" y="{y:.1f}" text-anchor="middle">{text}</text>'


def _rows(bands: Sequence[Band], until_s: float, width: float) -> tuple[list[int], int]:
    """Return a row for each band's name so that no two names meet, and how many rows there are."""
    rows: list[int] = []
    ends: list[float] = []
    for band in bands:
        begin = band.begins_s / max(until_s, 1e-3) * (width - 120)
        row = next((row for row, end in enumerate(ends) if end < begin), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = begin + 7.0 * len(band.name) + 10
        rows.append(row)
    return rows, len(ends)


def _bands(bands: Sequence[Band], rows: Sequence[int], frame: _Frame) -> Iterator[str]:
    for band, row in zip(bands, rows, strict=True):
        x = frame.x(band.begins_s)
        width = max(2.0, frame.x(band.ends_s) - x)
        top = 6 + ROW * row
        height = frame.height - frame.bottom - top
        yield f'<rect class="band" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height:.1f}"/>'
        yield f'<line class="strike" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height:.1f}"/>'
        right = x + 4 + 7.0 * len(band.name) > frame.width
        place = f'x="{x - 4:.1f}" text-anchor="end"' if right else f'x="{x + 4:.1f}"'
        yield f'<text class="fault" {place} y="{top + 11}">{escape(band.name)}</text>'


def _labels(lines: Sequence[Line], frame: _Frame) -> Iterator[str]:
    """Yield the lines' names at their ends, moved apart where they would cover each other."""
    ends = [
        (frame.y(last), line)
        for line in lines
        if (last := next((value for _, value in reversed(line.points) if value is not None), None))
        is not None
    ]
    lowest = -math.inf
    placed: list[tuple[float, Line]] = []
    for y, line in sorted(ends, key=lambda end: end[0]):
        lowest = max(y, lowest + ROW - 3)
        placed.append((lowest, line))
    over = max(0.0, lowest - (frame.height - frame.bottom)) if placed else 0.0
    x = frame.width - frame.right + 8
    for y, line in placed:
        place = f'x="{x:.1f}" y="{y - over + 4:.1f}"'
        yield f'<text class="label {line.style}" {place}>{escape(line.name)}</text>'


def _tips(plot: Plot, frame: _Frame) -> Iterator[str]:
    """Yield what a pointer is told: the values of all lines at each time."""
    times = sorted({seconds for line in plot.lines for seconds, _ in line.points})
    values = [dict(line.points) for line in plot.lines]
    for n, seconds in enumerate(times):
        x = frame.x(seconds)
        end = frame.x(times[n + 1]) if n + 1 < len(times) else frame.width - frame.right
        told = ", ".join(
            f"{line.name} {number(value)} {plot.unit}"
            for line, known in zip(plot.lines, values, strict=True)
            if (value := known.get(seconds)) is not None
        )
        yield (
            f'<rect class="tip" x="{x:.1f}" y="{frame.top:.1f}" width="{max(0.5, end - x):.1f}"'
            f' height="{frame.height - frame.top - frame.bottom:.1f}">'
            f"<title>{number(seconds)} s: {escape(told or 'nothing')}</title></rect>"
        )
