"""A plan drawn with characters: when the weight rises and verdicts fall; how size decides the time to a rollback."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from penstock.cli.chart.axis import RATES, TIMES, Axis, log_times, logarithmic, rate_label, time_label
from penstock.cli.chart.canvas import FRAME, Canvas, axis_below, framed
from penstock.cli.chart.charset import Charset
from penstock.cli.planning.facts import GuardrailFacts, Outlook, Plan, RegressionFacts, Spread
from penstock.cli.planning.wording import duration, percent

WEIGHT, HARM, HEALTH, HIGH = "cyan", "red", "green", "yellow"

LEAST_WIDTH = 50
ROWS = 9


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind of candidate and when its verdict falls; without a time, what becomes of it instead.

    `group` is the position of the guardrails that it is worse on, None for a candidate as good as stable.
    """

    label: str
    seconds: Spread | None
    otherwise: str
    group: int | None

    @property
    def style(self) -> str:
        """The style of its bar."""
        return HEALTH if self.group is None else HARM


def draw(plan: Plan, width: int, charset: Charset) -> list[Text]:
    """Both charts, at most `width` characters wide (at least 50)."""
    width = max(LEAST_WIDTH, width)
    lines = timeline(plan, width, charset)
    for guardrail in plan.guardrails:
        lines += [Text(), *detection(plan, guardrail, width, charset)]
    return lines


def lanes_of(plan: Plan) -> list[Lane]:
    """The candidates of a plan, as good as stable first."""
    lanes = [Lane("as good as stable", plan.promotion.seconds, "not promoted in time", None)]
    several = len(plan.guardrails) > 1
    for group, guardrail in enumerate(plan.guardrails):
        for regression in guardrail.regressions:
            if regression.outlook is Outlook.TOLERATED:
                continue
            name = f"{guardrail.names[0]}: {regression.label}" if several else regression.label
            lanes.append(Lane(name, regression.seconds, "undecided at the deadline", group))
    return lanes


def time_axis(plan: Plan) -> Axis:
    """From before the first verdict to after the last one, or to the deadline where something has none."""
    spreads = [lane.seconds for lane in lanes_of(plan) if lane.seconds is not None]
    ends = [step.ends for step in plan.steps if step.ends is not None]
    first = min([spread.low for spread in spreads] + ends[:1], default=plan.deadline / 100.0)
    last = max([spread.high or plan.deadline for spread in spreads] + ends, default=plan.deadline)
    if any(lane.seconds is None for lane in lanes_of(plan)):
        last = max(last, plan.deadline)
    return log_times(max(0.5, 0.6 * first), 1.15 * last)


def weights_of(plan: Plan) -> list[tuple[float, float]]:
    """Corners (seconds, weight) of the weight over time for a candidate as good as stable, ending at the promotion."""
    corners: list[tuple[float, float]] = []
    promoted = plan.promotion.seconds
    for step in plan.steps:
        if step.begins is None:
            break
        ends = promoted.median if step is plan.steps[-1] and promoted is not None else step.ends
        corners += [(step.begins, step.weight), (plan.deadline if ends is None else ends, step.weight)]
    if promoted is not None:
        corners.append((promoted.median, 1.0))
    return corners


def timeline(plan: Plan, width: int, charset: Charset) -> list[Text]:
    """The weight over time, and below it when each kind of candidate gets its verdict."""
    lanes = lanes_of(plan)
    gutter = min(max(len(lane.label) for lane in lanes) + 2, width // 2)
    times = time_axis(plan)
    canvas = Canvas(width - gutter, ROWS, charset)
    weights = logarithmic(0.5 * plan.steps[0].weight, 1.0)
    corners = weights_of(plan)
    canvas.line([(times.place(t), weights.place(weight)) for t, weight in corners], WEIGHT)
    if plan.promotion.seconds is not None:
        at = times.place(plan.promotion.seconds.median)
        canvas.line([(at, weights.place(1.0)), (1.0, weights.place(1.0))], HEALTH)
    left = weights.ticks([*(step.weight for step in plan.steps), 1.0], percent, lambda _: 1.0 / ROWS)
    lines = [Text(f"Weight over time; when verdicts fall (10 to 95 of 100, {charset.middle} median)", "bold")]
    lines += framed(canvas, gutter, left, [])[:-2]
    lines += [_lane(lane, times, gutter, canvas) for lane in lanes]
    lines += axis_below(canvas, gutter, times.ticks(TIMES, time_label, lambda label: (len(label) + 3) / canvas.columns))
    return lines


def _lane(lane: Lane, times: Axis, gutter: int, canvas: Canvas) -> Text:
    strip = Canvas(canvas.columns, 1, canvas.charset)
    charset = canvas.charset
    if lane.seconds is None:
        strip.write(1, 0, lane.otherwise, FRAME)
    else:
        start, median = strip.column(times.place(lane.seconds.low)), strip.column(times.place(lane.seconds.median))
        end = strip.columns - 1 if lane.seconds.high is None else strip.column(times.place(lane.seconds.high))
        strip.write(start, 0, charset.bar * (end - start + 1), lane.style)
        if lane.seconds.high is None:
            strip.write(end, 0, charset.onward, lane.style)
        strip.write(median, 0, charset.middle, f"bold {lane.style}")
        told = f" {duration(lane.seconds.median)}"
        strip.write(end + 1 if end + len(told) < strip.columns else start - len(told) - 1, 0, told, "")
    label = lane.label[: gutter - 2].rjust(gutter - 2)
    return Text.assemble(f"{label} ", (charset.vertical, FRAME), *strip.lines())


def curve_of(guardrail: GuardrailFacts) -> list[RegressionFacts]:
    """All sizes of regression that are found, the smallest first."""
    sizes = [*guardrail.regressions, *guardrail.curve]
    return sorted(
        (size for size in sizes if size.seconds and size.outlook is not Outlook.TOLERATED), key=lambda size: size.rate
    )


def detection(plan: Plan, guardrail: GuardrailFacts, width: int, charset: Charset) -> list[Text]:
    """Time to a rollback against the candidate's rate, both logarithmic."""
    names = " or ".join(guardrail.names)
    title = Text(f"Time to a rollback by the candidate's rate of {names}", "bold")
    curve = curve_of(guardrail)
    if not curve:
        return [title, Text(f"No size of regression is found before the deadline of {duration(plan.deadline)}.", FRAME)]
    rates, times = detection_axes(guardrail, curve)
    gutter = 10
    canvas = Canvas(width - gutter, ROWS + 3, charset)
    canvas.shade(rates.place(guardrail.tolerated))
    medians = [(size.rate, size.seconds.median) for size in curve if size.seconds is not None]
    highs = [(size.rate, size.seconds.high) for size in curve if size.seconds and size.seconds.high is not None]
    if times.low <= plan.deadline <= times.high:
        canvas.across(times.place(plan.deadline), FRAME, " deadline ")
    for points, style in ((highs, HIGH), (medians, HARM)):
        canvas.line([(rates.place(rate), times.place(t)) for rate, t in points], style)
    for rate, t in medians:
        canvas.write(canvas.column(rates.place(rate)), canvas.row(times.place(t)), charset.middle, f"bold {HARM}")
    _note(canvas, rates.place(guardrail.tolerated))
    left = times.ticks(TIMES, time_label, lambda _: 1.5 / canvas.rows)
    below = rates.ticks(RATES, rate_label, lambda label: (len(label) + 3) / canvas.columns)
    legend = Text.assemble(
        " " * gutter, (f"{charset.middle} median", HARM), "   ", ("95 of 100", HIGH), "   ",
        (f"{charset.shade}{charset.shade} tolerated up to {percent(guardrail.tolerated)}", FRAME),
    )  # fmt: skip
    return [title, *framed(canvas, gutter, left, below), legend]


def detection_axes(guardrail: GuardrailFacts, curve: Sequence[RegressionFacts]) -> tuple[Axis, Axis]:
    """Axes of rates and of times."""
    lowest = min(0.5 * guardrail.tolerated, curve[0].rate)
    spreads = [size.seconds for size in curve if size.seconds is not None]
    high = max(spread.high or spread.median for spread in spreads)
    low = min(spread.median for spread in spreads)
    decades = math.log10(max(high / low, 1.0))
    return logarithmic(max(lowest, 1e-6), 1.0), log_times(0.6 * low, high * (2.0 if decades < 0.5 else 1.4))


def _note(canvas: Canvas, until: float) -> None:
    text = "tolerated"
    room = canvas.column(until)
    if room > len(text) + 2:
        canvas.write((room - len(text)) // 2, canvas.rows // 2, text, FRAME)
