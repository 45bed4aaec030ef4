"""A plan as text, as a chart and as JSON: one plan of made-up facts, looked at from all sides."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from penstock.cli.chart import print_plan, save_plan
from penstock.cli.chart.charset import console_on
from penstock.cli.planning.as_json import as_json
from penstock.cli.planning.facts import (
    Cause,
    Caution,
    FleetFacts,
    GuardrailFacts,
    Outlook,
    Plan,
    PointsFacts,
    PromotionFacts,
    RegressionFacts,
    Shield,
    Spread,
    StepFacts,
)
from penstock.cli.planning.report import body, heading
from rich.console import Console

GOLDEN = Path(__file__).parent / "golden"


def found(label: str, rate: float, low: float, median: float, high: float | None, requests: float) -> RegressionFacts:
    """A regression that is taken back, in all or in 70 of 100 releases."""
    return RegressionFacts(
        label,
        rate,
        Outlook.FOUND if high is not None else Outlook.UNCERTAIN,
        0.7 if high is None else 1.0,
        0.0,
        Spread(low, median, high),
        Spread(0.5 * requests, requests, None if high is None else 2.0 * requests),
        requests * rate,
        160,
    )


def tolerated(label: str, rate: float, promoted: float) -> RegressionFacts:
    """A regression within tolerance."""
    after = Spread(900.0, 950.0, 1_800.0) if promoted >= 0.95 else None
    requests = None if after is None else Spread(7_000.0, 8_100.0, 9_000.0)
    bad = None if after is None else 81.0
    return RegressionFacts(label, rate, Outlook.TOLERATED, 0.0, promoted, after, requests, bad, 60)


FAILED = GuardrailFacts(
    ("failed", "refused"),
    0.005,
    1.5,
    0.01,
    False,
    0.015,
    Shield.REPEATED,
    (
        found("every request", 1.0, 9.5, 9.5, 18.0, 4.0),
        found("10 %", 0.1, 43.0, 109.0, 158.0, 66.0),
        found("5×", 0.025, 300.0, 475.0, 690.0, 2_400.0),
        RegressionFacts("just beyond", 0.0165, Outlook.UNCERTAIN, 0.05, 0.0, None, None, None, 40),
        tolerated("2×", 0.01, 0.3),
        tolerated("1.5×", 0.0075, 1.0),
    ),
    (found("", 0.05, 120.0, 240.0, 350.0, 380.0), found("", 0.3, 18.0, 43.0, 94.0, 12.0)),
)
SLOW = GuardrailFacts(
    ("slow",),
    0.05,
    1.5,
    0.0025,
    True,
    0.075,
    Shield.SLOW,
    (
        found("always slow", 1.0, 70.0, 86.0, 94.0, 42.0),
        found("10 %, 2×", 0.1, 500.0, 700.0, None, 4_700.0),
        tolerated("1.5×", 0.075, 0.0),
    ),
    (found("", 0.25, 120.0, 158.0, 193.0, 190.0),),
)
PROMOTED = PromotionFacts(1.0, Spread(895.0, 914.0, 946.0), Spread(44_800.0, 45_600.0, 47_200.0), 300)
NOT_PROMOTED = PromotionFacts(0.4, None, None, 300)
PLAN = Plan(
    "fraud",
    50.0,
    2,
    86_400.0,
    0.01,
    0.02,
    (
        StepFacts(0.01, Cause.MIN_REQUESTS, 50, False, 0.0, 0.0, 102.0, 52.0),
        StepFacts(0.05, Cause.MIN_REQUESTS, 500, True, 0.0, 102.0, 306.0, 503.0),
        StepFacts(0.25, Cause.PAUSE, 50, False, 600.0, 306.0, 911.0, 7_560.0),
        StepFacts(0.5, Cause.EVIDENCE, 50, False, 0.0, 911.0, 914.0, 60.0),
    ),
    PROMOTED,
    (FAILED, SLOW),
    (
        PointsFacts(0.001, False, PromotionFacts(0.6, Spread(80_000.0, 84_000.0, None), Spread(4e6, 4.2e6, None), 100)),
        PointsFacts(0.0025, True, PROMOTED),
        PointsFacts(0.005, True, PROMOTED),
        PointsFacts(0.01, True, PROMOTED),
    ),
    0.0025,
    (),
    FleetFacts(200, 50.0, 100.0),
)
HOPELESS = replace(
    PLAN,
    traffic=3 / 3600,
    steps=(
        StepFacts(0.01, None, 50, False, 0.0, 0.0, None, None),
        StepFacts(0.05, None, 500, True, 0.0, None, None, None),
    ),
    promotion=NOT_PROMOTED,
    guardrails=(replace(FAILED, regressions=(FAILED.regressions[3],), curve=(), shield=Shield.OFF),),
    cautions=(Caution("No release gets beyond the step of 1 % before the deadline of 1d.", ("deadline: 365d",)),),
    fleet=None,
)


class Unicode(io.StringIO):
    """A stream of a terminal that speaks Unicode."""

    encoding = "utf-8"  # type: ignore[assignment]


class Ascii(io.StringIO):
    """A stream of a terminal that speaks no Unicode."""

    encoding = "ascii"  # type: ignore[assignment]


def printed(plan: Plan, stream: io.StringIO, width: int) -> str:
    """The whole report."""
    console = console_on(stream)
    console.width = width
    console.print(heading(plan))
    for part in body(plan):
        console.print()
        console.print(part)
    console.print()
    print_plan(plan, console)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize(
    ("name", "plan", "width", "stream"),
    [
        ("plan-80", PLAN, 80, Unicode),
        ("plan-120", PLAN, 120, Unicode),
        ("plan-ascii", PLAN, 80, Ascii),
        ("plan-hopeless", HOPELESS, 80, Unicode),
    ],
)
def test_the_report_is_as_it_was_looked_at(name: str, plan: Plan, width: int, stream: type[io.StringIO]) -> None:
    assert printed(plan, stream(), width) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [20, 50, 80, 133, 240])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for plan in (PLAN, HOPELESS):
        assert max(len(line) for line in printed(plan, Unicode(), width).splitlines()) <= width


def test_where_unicode_is_not_spoken_everything_is_ascii() -> None:
    assert printed(PLAN, Ascii(), 100).isascii()


def test_colour_is_for_terminals_only() -> None:
    assert "\x1b" not in printed(PLAN, Unicode(), 80)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    print_plan(PLAN, console)
    assert "\x1b" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_object_has_the_facts_of_the_report() -> None:
    told = json.loads(json.dumps(as_json(PLAN), allow_nan=False))
    assert told["promotion"]["seconds"] == {"p10": 895.0, "median": 914.0, "p95": 946.0}
    assert [step["waitsFor"] for step in told["steps"]] == ["MinRequests", "MinRequests", "Pause", "Evidence"]
    failed = told["guardrails"][0]
    assert (failed["names"], failed["toleratedRate"], failed["shield"]) == (
        ["failed", "refused"],
        0.015,
        "RepeatedOnStable",
    )
    outlooks = [regression["outlook"] for regression in failed["regressions"]]
    assert outlooks == ["Found", "Found", "Found", "Uncertain", "Tolerated", "Tolerated"]
    assert failed["regressions"][3]["secondsToVerdict"] is None
    assert [choice["decidable"] for choice in told["points"]] == [False, True, True, True]
    assert told["autoPoints"] == 0.0025
    assert told["fleet"] == {"models": 200, "releasesPerYear": 50.0, "falseRollbacksPerYearAtMost": 100.0}
    hopeless = as_json(HOPELESS)
    assert hopeless["fleet"] is None
    assert hopeless["warnings"][0]["decidableInstead"] == ["deadline: 365d"]


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PNG", b"\x89PNG")])
@pytest.mark.parametrize("plan", [PLAN, HOPELESS])
def test_the_charts_go_to_a_file(tmp_path: Path, suffix: str, begins: bytes, plan: Plan) -> None:
    path = tmp_path / f"plan.{suffix}"
    save_plan(plan, str(path))
    assert path.read_bytes().startswith(begins)
    assert path.stat().st_size > 20_000
