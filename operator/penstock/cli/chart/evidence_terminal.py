"""The evidence of a release over time, drawn with characters."""

from rich.text import Text

from penstock.cli.chart.axis import Axis, Tick, linear, round_steps, time_label, time_steps
from penstock.cli.chart.canvas import FRAME, Canvas, axis_below, framed
from penstock.cli.chart.charset import Charset
from penstock.cli.chart.evidence import (
    Panel,
    from_first_look,
    harm_panel,
    headline,
    health_panel,
    power_label,
    time_axis,
    weight_changes,
)
from penstock.cli.chart.series import EvidenceSeries
from penstock.cli.planning.wording import percent

COLOURS = ("red", "magenta", "yellow", "cyan", "blue", "green", "bright_red", "bright_magenta", "bright_cyan", "white")
VERDICT = "bold"
LEAST_WIDTH = 50
GUTTER = 9
ROWS, WEIGHT_ROWS = 9, 3


def draw(series: EvidenceSeries, width: int, charset: Charset) -> list[Text]:
    """Evidence of harm, evidence against it, and the weight, at most `width` characters wide (at least 50).

    Raises:
        ValueError: when the series does not fit together.
    """
    series.check()
    series = from_first_look(series)
    title = Text(headline(series), "bold")
    if not series.t:
        return [title, Text("No stratum has closed yet.", FRAME)]
    names = list(series.log_evalue)
    room = min(max((len(name) for name in names), default=0) + 2, 22)
    columns = max(LEAST_WIDTH, width) - GUTTER - room
    times = time_axis(series)
    lines = [title]
    for panel in (harm_panel(series), health_panel(series)):
        lines += _panel(panel, series, times, Canvas(columns, ROWS, charset), room)
    lines += _weight(series, times, Canvas(columns, WEIGHT_ROWS, charset))
    return lines


def _panel(panel: Panel, series: EvidenceSeries, times: Axis, canvas: Canvas, room: int) -> list[Text]:
    ends: dict[int, tuple[str, str]] = {}
    for (name, values), colour in zip(panel.curves.items(), COLOURS, strict=False):
        canvas.line([(times.place(t), panel.axis.place(v)) for t, v in zip(series.t, values, strict=True)], colour)
        row = canvas.row(panel.axis.place(values[-1]))
        ends[_free(row, ends, canvas.rows)] = (name[: room - 1], colour)
    canvas.across(panel.axis.place(panel.line), "bold", f" {panel.line_label} ")
    _mark(canvas, series, times)
    steps = round_steps(panel.axis.low, panel.axis.high, 4)
    left = [Tick(v, panel.axis.place(v), power_label(v)) for v in steps if v == round(v)]
    lines = framed(canvas, GUTTER, left, [])[:-2]
    for row, (name, colour) in ends.items():
        lines[row].append(f" {name}", colour)
    return [Text(panel.title), *lines, Text(" " * (GUTTER - 1) + canvas.charset.vertical, FRAME)]


def _free(row: int, taken: dict[int, tuple[str, str]], rows: int) -> int:
    """The nearest row that has no name yet."""
    return min((other for other in range(rows) if other not in taken), key=lambda other: abs(other - row), default=row)


def _mark(canvas: Canvas, series: EvidenceSeries, times: Axis) -> None:
    if series.verdict_at is not None:
        canvas.down(times.place(series.verdict_at), VERDICT)


def _weight(series: EvidenceSeries, times: Axis, canvas: Canvas) -> list[Text]:
    changes = weight_changes(series)
    shares = linear(0.0, max(weight for _, weight in changes) or 1.0)
    corners: list[tuple[float, float]] = []
    for t, weight in changes:
        corners += [
            (times.place(t), corners[-1][1] if corners else shares.place(weight)),
            (times.place(t), shares.place(weight)),
        ]
    canvas.line([*corners, (1.0, corners[-1][1])], "blue")
    _mark(canvas, series, times)
    left = shares.ticks([0.0, shares.high], percent, lambda _: 0.5)
    below = times.ticks(
        time_steps(times.low, times.high, 8), time_label, lambda label: (len(label) + 3) / canvas.columns
    )
    drawn = framed(canvas, GUTTER, left, [])[:-2]
    return [Text("Candidate's weight"), *drawn, *axis_below(canvas, GUTTER, below)]
