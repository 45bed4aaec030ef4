"""Charts for a terminal and for files (PNG, SVG): plans of a release, and its evidence over time."""

import sys

from rich.console import Console

from penstock.cli.chart import evidence_terminal, plan_terminal
from penstock.cli.chart.charset import charset_of, console_on
from penstock.cli.chart.series import EvidenceSeries
from penstock.cli.chart.target import UnusableTargetError, usable
from penstock.cli.planning.facts import Plan

__all__ = [
    "EvidenceSeries",
    "UnusableTargetError",
    "draw_evidence",
    "print_evidence",
    "print_plan",
    "save_plan",
    "usable",
]

TERMINAL = "-"


def draw_evidence(series: EvidenceSeries, to: str) -> int:
    """Draw a release's evidence: `to` is a .png or .svg file, or `-` for the terminal (standard error).

    Returns the exit status: 0, or 2 after a message that says why it could not be drawn.
    """
    if to == TERMINAL:
        print_evidence(series, console_on(sys.stderr))
        return 0
    try:
        path = usable(to)
        from penstock.cli.chart import evidence_image, image

        image.save(evidence_image.figure(series), path)
    except (UnusableTargetError, OSError) as error:
        print(f"penstock: --chart: {error}", file=sys.stderr)
        return 2
    return 0


def print_evidence(series: EvidenceSeries, console: Console) -> None:
    """Draw a release's evidence with characters, as wide as the console.

    Raises:
        ValueError: when the series does not fit together.
    """
    for line in evidence_terminal.draw(series, console.width, charset_of(console.encoding)):
        console.print(line, no_wrap=True, overflow="crop", crop=True)


def print_plan(plan: Plan, console: Console) -> None:
    """Draw a plan with characters, as wide as the console."""
    for line in plan_terminal.draw(plan, console.width, charset_of(console.encoding)):
        console.print(line, no_wrap=True, overflow="crop", crop=True)


def save_plan(plan: Plan, to: str) -> None:
    """Draw a plan in a file.

    Raises:
        UnusableTargetError: when a chart cannot go there.
        OSError: when the file cannot be written.
    """
    path = usable(to)
    from penstock.cli.chart import image, plan_image

    image.save(plan_image.figure(plan), path)
