"""Figures for files: one look for all charts, and the writing of PNG and SVG. Needs matplotlib."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from penstock.cli.chart.axis import Axis, Tick

INK, FAINT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
WEIGHT, HEALTH, HARM = "#2563eb", "#15803d", "#b91c1c"
CYCLE = ("#b91c1c", "#7c3aed", "#c2410c", "#0e7490", "#a16207", "#be185d", "#4d7c0f", "#1d4ed8", "#525252", "#86198f")
"""Colours of guardrails: distinct in hue and none of them that of the weight or of a promotion."""

PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
"""Keeps the grid from running through words."""

RESOLUTION = 160


def figure(width: float, height: float, title: str, subtitle: str) -> Figure:
    """An empty figure, sizes in inches, with its headline."""
    layout = ConstrainedLayoutEngine(rect=(0.012, 0.012, 0.976, 0.976 - 0.62 / height))
    made = Figure(figsize=(width, height), facecolor="white", layout=layout)
    top = 1.0 - 0.12 / height
    made.text(0.018, top, title, ha="left", va="top", fontsize=15, fontweight="bold", color=INK)
    made.text(0.018, top - 0.3 / height, subtitle, ha="left", va="top", fontsize=9.5, color=FAINT)
    return made


def dress(axes: Axes, title: str) -> None:
    """The common look of axes."""
    axes.set_title(title, loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=8)
    axes.tick_params(colors=FAINT, labelsize=8.5, length=3, width=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9ca3af")
        axes.spines[side].set_linewidth(0.8)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def lay_x(axes: Axes, axis: Axis, ticks: Sequence[Tick]) -> None:
    """Give the horizontal axis its range, its scale and its labels."""
    if axis.scale is math.log:
        axes.set_xscale("log")
    axes.set_xlim(axis.low, axis.high)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([tick.value for tick in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([tick.label for tick in ticks]))


def lay_y(axes: Axes, axis: Axis, ticks: Sequence[Tick]) -> None:
    """Give the vertical axis its range, its scale and its labels."""
    if axis.scale is math.log:
        axes.set_yscale("log")
    axes.set_ylim(axis.low, axis.high)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(FixedLocator([tick.value for tick in ticks]))
    axes.yaxis.set_major_formatter(FixedFormatter([tick.label for tick in ticks]))


def save(made: Figure, path: Path) -> None:
    """Write a figure as its file's suffix says; the same figure gives the same bytes.

    Raises:
        OSError: when the file cannot be written.
    """
    with rc_context({"svg.hashsalt": path.suffix}):
        made.savefig(path, dpi=RESOLUTION, metadata={"Date": None} if path.suffix.lower() == ".svg" else {})
