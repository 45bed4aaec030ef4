"""Works out a plan: a rollout and a question in, facts out."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from penstock.api.guardrail import Metric
from penstock.cli.planning import advice
from penstock.cli.planning.arrivals import Arrivals
from penstock.cli.planning.cohort import Rail
from penstock.cli.planning.course import Contract, Scenario
from penstock.cli.planning.facts import FleetFacts, GuardrailFacts, Plan, PointsFacts, RegressionFacts, Shield
from penstock.cli.planning.manifest import Manifest
from penstock.cli.planning.promotion import decidable, follow_healthy, promotion_facts, step_facts, with_points
from penstock.cli.planning.question import Question
from penstock.cli.planning.regressions import Size, more_sizes, named_sizes, regression_facts, tolerated_rate
from penstock.cli.planning.schedule import stages_of
from penstock.judge.budget import false_rollbacks_a_year
from penstock.judge.criteria import Criteria
from penstock.judge.forecast import AUTO_POINTS, auto_points
from penstock.judge.verdict import tolerated_points
from penstock.reconcile.criteria import criteria_of

RELEASES = 300
"""Simulated releases of a candidate as good as stable."""

FEWER = 60
"""The same for each choice of points."""

EFFORT = 40_000
"""Work for all regressions of the report together: some seconds of one core."""

CURVE_EFFORT = 800
"""Work for each further size of regression in a chart."""

ALWAYS = {Metric.FAILED: "always failing", Metric.REFUSED: "always refused", Metric.LATENCY: "always slow"}

Progress = Callable[[str, int, int], None]
"""Is told what is worked on, how many pieces of work are done, and how many there are."""


def plan(manifest: Manifest, question: Question, progress: Progress) -> Plan:
    """The plan of a release under `manifest`."""
    criteria = criteria_of(manifest.rollout)
    auto = auto_points(
        max(question.base.values()), question.traffic, criteria.deadline, 0.5, criteria.missed_regression
    )
    scenario = scenario_of(manifest, question, criteria, auto)
    groups = _alike(manifest, scenario.rails)
    work = [(group, _sizes(manifest, scenario.rails[group[0]], group)) for group in groups]
    total = 2 + len(AUTO_POINTS) + sum(len(named) + len(more) for _, (named, more) in work)
    done = 0

    def tell(what: str) -> None:
        nonlocal done
        progress(what, done, total)
        done += 1

    tell("a candidate as good as stable")
    courses = follow_healthy(scenario, RELEASES)
    promotion, steps = promotion_facts(courses), step_facts(scenario, courses)
    points = []
    for choice in AUTO_POINTS:
        tell(f"points: {100.0 * choice:g}%")
        facts = promotion_facts(follow_healthy(with_points(scenario, choice), FEWER))
        points.append(PointsFacts(choice, decidable(facts), facts))
    effort = EFFORT // sum(len(named) for _, (named, _) in work)
    guardrails = []
    for group, (named, more) in work:
        found = []
        for size, most in [(size, effort) for size in named] + [(size, CURVE_EFFORT) for size in more]:
            tell(f"{scenario.rails[group[0]].name} {size.label or f'{100.0 * size.rate:.3g} %'}")
            found.append(regression_facts(scenario, group[0], size, most))
        guardrails.append(_guardrail_facts(manifest, scenario, group, found[: len(named)], found[len(named) :]))
    tell("what would be decidable")
    cautions = advice.cautions(scenario, steps, promotion, points, auto, leaves_points_to_judge=uses_auto(manifest))
    progress("done", total, total)
    return Plan(
        manifest.name,
        question.traffic,
        question.routers,
        criteria.deadline,
        criteria.false_rollback,
        criteria.missed_regression,
        steps,
        promotion,
        tuple(guardrails),
        tuple(points),
        auto,
        cautions,
        _fleet(question, criteria),
    )


def scenario_of(manifest: Manifest, question: Question, criteria: Criteria, auto: float) -> Scenario:
    """A release of a candidate as good as stable, judged by `criteria`."""
    rails = tuple(
        Rail(
            rail.name,
            rail.tolerance.ratio,
            tolerated_points(rail, auto),
            rail.unit,
            question.base[rail.name],
            question.base[rail.name],
        )
        for rail in criteria.guardrails
    )
    return Scenario(
        rails,
        stages_of(manifest.rollout),
        Arrivals(question.traffic, question.routers),
        Contract(criteria.rollback_threshold, criteria.promotion_threshold, criteria.false_rollback, criteria.deadline),
    )


def uses_auto(manifest: Manifest) -> bool:
    """Whether a guardrail leaves its points to the judge."""
    return any(rail.tolerate.points_limit is None for rail in manifest.rollout.guardrails)


def _alike(manifest: Manifest, rails: Sequence[Rail]) -> list[list[int]]:
    """Positions of guardrails that share everything but their name."""
    groups: dict[tuple[Rail, bool], list[int]] = {}
    for i, rail in enumerate(rails):
        slow = manifest.rollout.guardrails[i].metric is Metric.LATENCY
        groups.setdefault((replace(rail, name=""), slow), []).append(i)
    return list(groups.values())


def _sizes(manifest: Manifest, rail: Rail, group: list[int]) -> tuple[list[Size], list[Size]]:
    metrics = {manifest.rollout.guardrails[i].metric for i in group}
    named = named_sizes(rail, ALWAYS[metrics.pop()] if len(metrics) == 1 else "every request")
    return named, more_sizes(rail, named)


def _guardrail_facts(
    manifest: Manifest,
    scenario: Scenario,
    group: list[int],
    named: Sequence[RegressionFacts],
    more: Sequence[RegressionFacts],
) -> GuardrailFacts:
    rail, specs = scenario.rails[group[0]], [manifest.rollout.guardrails[i] for i in group]
    shield = Shield.REPEATED if manifest.idempotent else Shield.OFF
    if any(spec.metric is Metric.LATENCY for spec in specs):
        shield = Shield.SLOW
    return GuardrailFacts(
        tuple(scenario.rails[i].name for i in group),
        rail.stable,
        rail.ratio,
        rail.points,
        specs[0].tolerate.points_limit is None,
        tolerated_rate(rail),
        shield,
        tuple(named),
        tuple(more),
    )


def _fleet(question: Question, criteria: Criteria) -> FleetFacts | None:
    fleet = question.fleet
    if fleet is None:
        return None
    expected = false_rollbacks_a_year(fleet.models, fleet.releases, criteria.false_rollback)
    return FleetFacts(fleet.models, fleet.releases, expected)
