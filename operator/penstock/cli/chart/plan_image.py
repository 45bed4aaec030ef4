"""A plan as a figure: when the weight rises and verdicts fall; how size decides the time to a rollback."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from penstock.cli.chart import image
from penstock.cli.chart.axis import RATES, TIMES, Axis, logarithmic, rate_label, time_label
from penstock.cli.chart.plan_terminal import Lane, curve_of, detection_axes, lanes_of, time_axis, weights_of
from penstock.cli.planning.facts import Plan
from penstock.cli.planning.wording import duration, manifest_share, percent, traffic


def figure(plan: Plan) -> Figure:
    """The whole figure."""
    lanes = lanes_of(plan)
    rates = ", ".join(f"{', '.join(g.names)} {percent(g.base)}" for g in plan.guardrails)
    made = image.figure(
        14.0,
        4.4 + 0.27 * len(lanes),
        f"Plan of a release of {plan.name}",
        f"{traffic(plan.traffic)}; on stable {rates}; falseRollback {manifest_share(plan.false_rollback)}, missedRegression "
        f"{manifest_share(plan.missed_regression)}, deadline {duration(plan.deadline)}",
    )
    halves = made.add_gridspec(1, 2, width_ratios=(1.25, 1.0), wspace=0.05)
    rows = halves[0].subgridspec(2, 1, height_ratios=(1.0, 0.13 * len(lanes) + 0.15))
    times = time_axis(plan)
    weights, verdicts = made.add_subplot(rows[0]), made.add_subplot(rows[1])
    _draw_weights(weights, plan, times)
    _draw_lanes(verdicts, lanes, times, plan.deadline)
    _draw_detection(made.add_subplot(halves[1]), plan)
    return made


def _draw_weights(axes: Axes, plan: Plan, times: Axis) -> None:
    image.dress(axes, "Weight of a candidate as good as stable")
    shares = logarithmic(0.5 * plan.steps[0].weight, 1.3)
    image.lay_x(axes, times, times.ticks(TIMES, time_label, lambda _: 0.09))
    axes.tick_params(labelbottom=False)
    image.lay_y(axes, shares, shares.ticks([*(s.weight for s in plan.steps), 1.0], percent, lambda _: 0.07))
    corners = weights_of(plan)
    t, weight = [max(at, times.low) for at, _ in corners], [share for _, share in corners]
    axes.plot(t, weight, color=image.WEIGHT, linewidth=2.2, solid_joinstyle="miter")
    axes.fill_between(t, weight, shares.low, color=image.WEIGHT, alpha=0.09, linewidth=0)
    promoted = plan.promotion.seconds
    if promoted is not None:
        axes.plot([promoted.median, times.high], [1.0, 1.0], color=image.HEALTH, linewidth=2.2)
        axes.fill_between([promoted.median, times.high], 1.0, shares.low, color=image.HEALTH, alpha=0.09, linewidth=0)
        axes.annotate(
            f"promoted after {duration(promoted.median)}",
            (promoted.median, 1.0),
            xytext=(-7, -3),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            color=image.HEALTH,
            fontweight="bold",
        )


def _draw_lanes(axes: Axes, lanes: list[Lane], times: Axis, deadline: float) -> None:
    image.dress(axes, "When the verdict falls: 10 to 95 of 100 releases, and the median")
    image.lay_x(axes, times, times.ticks(TIMES, time_label, lambda _: 0.09))
    axes.set_xlabel("time since the first step", fontsize=9, color=image.FAINT)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(lanes)), [lane.label for lane in lanes])
    axes.tick_params(axis="y", length=0, labelcolor=image.INK)
    axes.spines["left"].set_visible(False)
    if times.low < deadline < times.high:
        axes.axvline(deadline, color=image.FAINT, linewidth=1.2, linestyle=(0, (1, 2)))
        axes.annotate("deadline", (deadline, -0.6), xytext=(-3, -3), textcoords="offset points", ha="right", va="top",
                      fontsize=8.5, color=image.FAINT)  # fmt: skip
    for i, lane in enumerate(lanes):
        colour = image.HEALTH if lane.group is None else image.CYCLE[lane.group % len(image.CYCLE)]
        if lane.seconds is None:
            axes.annotate(lane.otherwise, (times.low, i), xytext=(6, 0), textcoords="offset points", va="center",
                          fontsize=8.5, color=image.FAINT, style="italic", bbox=image.PLATE)  # fmt: skip
            continue
        end = times.high if lane.seconds.high is None else lane.seconds.high
        axes.plot([lane.seconds.low, end], [i, i], color=colour, linewidth=5, alpha=0.32, solid_capstyle="butt")
        axes.plot([lane.seconds.median], [i], "o", color=colour, markersize=6.5, markeredgecolor="white")
        outside = times.place(end) < 0.88
        axes.annotate(duration(lane.seconds.median), (end if outside else lane.seconds.low, i),
                      xytext=(6 if outside else -6, 0), textcoords="offset points", va="center",
                      ha="left" if outside else "right", fontsize=8.5, color=image.INK, bbox=image.PLATE)  # fmt: skip


def _draw_detection(axes: Axes, plan: Plan) -> None:
    image.dress(axes, "Time to a rollback by the candidate's rate (median, 10 to 95 of 100)")
    drawn = [(g, curve_of(g)) for g in plan.guardrails]
    found = [(g, curve) for g, curve in drawn if curve]
    if not found:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "No size of regression is found before the deadline.", ha="center", va="center",
                  transform=axes.transAxes, fontsize=10, color=image.FAINT)  # fmt: skip
        return
    spans = [detection_axes(g, curve) for g, curve in found]
    rates = logarithmic(min(span.low for span, _ in spans), 1.0)
    times = logarithmic(min(span.low for _, span in spans), max(span.high for _, span in spans))
    image.lay_x(axes, rates, rates.ticks(RATES, rate_label, lambda _: 0.08))
    image.lay_y(axes, times, times.ticks(TIMES, time_label, lambda _: 0.045))
    axes.set_xlabel("candidate's rate", fontsize=9, color=image.FAINT)
    for (guardrail, curve), colour in zip(found, image.CYCLE, strict=False):
        spreads = [(size.rate, size.seconds) for size in curve if size.seconds is not None]
        x, names = [rate for rate, _ in spreads], " or ".join(guardrail.names)
        if len(found) == 1:
            axes.axvspan(rates.low, guardrail.tolerated, color=image.FAINT, alpha=0.1, linewidth=0)
        axes.axvline(guardrail.tolerated, color=colour, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(f"tolerated up to {percent(guardrail.tolerated)}", (guardrail.tolerated, times.low), rotation=90,
                      xytext=(-4, 8), textcoords="offset points", ha="right", va="bottom", fontsize=8.5,
                      color=image.FAINT)  # fmt: skip
        high = [times.high if spread.high is None else spread.high for _, spread in spreads]
        axes.fill_between(x, [spread.low for _, spread in spreads], high, color=colour, alpha=0.13, linewidth=0)
        axes.plot(x, [spread.median for _, spread in spreads], "o-", color=colour, linewidth=2, markersize=4.5,
                  clip_on=False, zorder=3, label=names)  # fmt: skip
    if times.low <= plan.deadline <= times.high:
        axes.axhline(plan.deadline, color=image.FAINT, linewidth=1.2, linestyle=(0, (1, 2)), label="deadline")
    axes.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=8.5, labelcolor=image.INK)
