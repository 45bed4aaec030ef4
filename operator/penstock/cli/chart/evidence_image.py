"""The evidence of a release over time as a figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from penstock.cli.chart import image
from penstock.cli.chart.axis import Axis, Tick, linear, round_steps, time_label, time_steps
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


def figure(series: EvidenceSeries) -> Figure:
    """The whole figure.

    Raises:
        ValueError: when the series does not fit together.
    """
    series.check()
    series = from_first_look(series)
    name, _, verdict = headline(series).partition(": ")
    made = image.figure(11.0, 8.0, f"Evidence of {name}", verdict)
    if not series.t:
        made.text(0.5, 0.5, "No stratum has closed yet.", ha="center", color=image.FAINT)
        return made
    harm, health, weight = made.subplots(3, 1, sharex=True, height_ratios=(2.2, 2.2, 1.0))
    times = time_axis(series)
    _draw_panel(harm, harm_panel(series), series)
    _draw_panel(health, health_panel(series), series)
    _draw_weight(weight, series, times)
    for axes in (harm, health, weight):
        if series.verdict_at is not None:
            axes.axvline(series.verdict_at, color=image.INK, linewidth=1.1)
    if series.verdict_at is not None:
        harm.annotate(series.verdict, (series.verdict_at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 5),
                      textcoords="offset points", ha="right" if times.place(series.verdict_at) > 0.1 else "left",
                      va="bottom", fontsize=10, fontweight="bold",
                      color=image.HEALTH if series.verdict == "Promote" else image.HARM)  # fmt: skip
    return made


def _draw_panel(axes: Axes, panel: Panel, series: EvidenceSeries) -> None:
    image.dress(axes, panel.title)
    steps = [step for step in round_steps(panel.axis.low, panel.axis.high, 6) if step == round(step)]
    image.lay_y(axes, panel.axis, [Tick(step, panel.axis.place(step), power_label(step)) for step in steps])
    axes.axhspan(panel.line, panel.axis.high, color=image.FAINT, alpha=0.08, linewidth=0)
    axes.axhline(panel.line, color=image.INK, linewidth=1.3, linestyle=(0, (5, 3)))
    axes.annotate(panel.line_label, (0.0, panel.line), xycoords=("axes fraction", "data"), xytext=(6, 3),
                  textcoords="offset points", fontsize=8.5, color=image.INK)  # fmt: skip
    for (name, values), colour in zip(panel.curves.items(), image.CYCLE, strict=False):
        axes.plot(series.t, values, color=colour, linewidth=1.8, label=name)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9, labelcolor=image.INK)


def _draw_weight(axes: Axes, series: EvidenceSeries, times: Axis) -> None:
    image.dress(axes, "Candidate's weight")
    changes = weight_changes(series)
    shares = linear(0.0, 1.1 * (max(weight for _, weight in changes) or 1.0))
    image.lay_x(axes, times, times.ticks(time_steps(times.low, times.high, 12), time_label, lambda _: 0.06))
    weights = sorted({0.0, *(weight for _, weight in changes)})
    image.lay_y(axes, shares, shares.ticks(weights, percent, lambda _: 0.18))
    t, weight = [at for at, _ in changes] + [times.high], [share for _, share in changes]
    axes.step(t, [*weight, weight[-1]], where="post", color=image.WEIGHT, linewidth=2)
    axes.fill_between(t, [*weight, weight[-1]], step="post", color=image.WEIGHT, alpha=0.1, linewidth=0)
    axes.set_xlabel("time since the first look", fontsize=9, color=image.FAINT)
