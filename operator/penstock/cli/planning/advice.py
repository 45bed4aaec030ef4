"""What the manifest will not achieve at this traffic, and what would: every remedy is tried before it is named."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from penstock.cli.planning.course import Scenario
from penstock.cli.planning.facts import Caution, PointsFacts, PromotionFacts, StepFacts
from penstock.cli.planning.promotion import SURE, decidable, follow_healthy, promotion_facts, with_points
from penstock.cli.planning.regressions import tolerated_rate
from penstock.cli.planning.schedule import DEFAULT_REQUESTS, Stage
from penstock.cli.planning.wording import duration, manifest_duration, manifest_share, percent, traffic
from penstock.judge.criteria import Unit

TRIAL = 120
"""Simulated releases of each trial."""

HALF = 0.5

LONGER = 400.0
"""Times the deadline within which a longer one is sought."""

WIDER = (0.02, 0.03, 0.05)
"""Points beyond those that `auto` chooses from."""

MORE_TRAFFIC = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1_000.0)


def cautions(
    scenario: Scenario,
    steps: Sequence[StepFacts],
    promotion: PromotionFacts,
    points: Sequence[PointsFacts],
    auto: float,
    *,
    leaves_points_to_judge: bool,
) -> tuple[Caution, ...]:
    """Everything to warn of, the gravest first."""
    found = [*_never(scenario)]
    if not decidable(promotion) and not found:
        found.append(_undecidable(scenario, steps, promotion, points))
    chosen = next(choice for choice in points if choice.points == auto)
    if leaves_points_to_judge and not chosen.decidable and decidable(promotion):
        found.append(Caution(f"points: auto takes {manifest_share(auto)}, which is not decidable before the deadline"))
    found += _untestable(scenario)
    return tuple(found)


def _never(scenario: Scenario) -> Iterator[Caution]:
    """What no traffic and no deadline would change."""
    weights = [stage.weight for stage in scenario.stages]
    by_strata = [rail.name for rail in scenario.rails if rail.unit is Unit.STRATA]
    if by_strata and HALF not in weights:
        names = ", ".join(by_strata)
        yield Caution(
            f"No candidate is ever promoted: {names} is judged by strata, which show the absence of harm only while "
            "the candidate has 50 % of the traffic, and no step has weight 50.",
            (
                "end the steps with {weight: 50}",
                f"set evidence: Requests on {names}, if its bursts hit single requests",
            ),
        )
    elif min(weights) >= 1.0:
        yield Caution(
            "No candidate is ever promoted: with all traffic on it nothing is left to compare with.",
            ("put steps before it, such as {weight: 50}",),
        )


def _undecidable(
    scenario: Scenario, steps: Sequence[StepFacts], promotion: PromotionFacts, points: Sequence[PointsFacts]
) -> Caution:
    deadline = scenario.contract.deadline
    within = f"before the deadline of {duration(deadline)}"
    stuck = next((step for step in steps if step.ends is None), None)
    if promotion.share > 0.0:
        says = f"Only {percent(promotion.share)} of the releases as good as stable are promoted {within}."
    elif stuck is not None and stuck is not steps[-1]:
        says = f"No release gets beyond the step of {percent(stuck.weight)} {within}."
    else:
        says = f"No release as good as stable is promoted {within}."
    return Caution(says, tuple(_remedies(scenario, points)))


def _remedies(scenario: Scenario, points: Sequence[PointsFacts]) -> Iterator[str]:
    wider = _wider_points(scenario, points)
    if wider is not None:
        yield f"points: {manifest_share(wider)} on every guardrail"
    last = scenario.stages[-1]
    rising = (*(stage for stage in scenario.stages if stage.weight < HALF), replace(last, weight=HALF))
    if last.weight != HALF and _works(replace(scenario, stages=rising)):
        yield "a last step of {weight: 50}"
    at_once = (Stage(HALF, DEFAULT_REQUESTS, named=False, pause=0.0),)
    if len(scenario.stages) > 1 and _works(replace(scenario, stages=at_once)):
        yield "steps: [{weight: 50}], which exposes half of all requests at once"
    longer = _longer_deadline(scenario)
    if longer is not None:
        yield f"deadline: {manifest_duration(longer)}"
    factor = _more_traffic(scenario)
    if factor is not None:
        yield f"traffic of {traffic(scenario.arrivals.traffic * factor)}"


def _works(scenario: Scenario) -> bool:
    return decidable(promotion_facts(follow_healthy(scenario, TRIAL)))


def _wider_points(scenario: Scenario, points: Sequence[PointsFacts]) -> float | None:
    present = min(rail.points for rail in scenario.rails)
    for choice in points:
        if choice.points > present and choice.decidable:
            return choice.points
    return next((p for p in WIDER if p > present and _works(with_points(scenario, p))), None)


def _longer_deadline(scenario: Scenario) -> float | None:
    contract = replace(scenario.contract, deadline=scenario.contract.deadline * LONGER)
    facts = promotion_facts(follow_healthy(replace(scenario, contract=contract), TRIAL))
    return None if facts.seconds is None or facts.share < SURE else facts.seconds.high


def _more_traffic(scenario: Scenario) -> float | None:
    """The smallest of some factors, by halving: what is decidable stays so with more traffic."""
    low, high = 0, len(MORE_TRAFFIC)
    while low < high:
        middle = (low + high) // 2
        arrivals = replace(scenario.arrivals, traffic=scenario.arrivals.traffic * MORE_TRAFFIC[middle])
        if _works(replace(scenario, arrivals=arrivals)):
            high = middle
        else:
            low = middle + 1
    return MORE_TRAFFIC[low] if low < len(MORE_TRAFFIC) else None


def _untestable(scenario: Scenario) -> Iterator[Caution]:
    for rail in scenario.rails:
        if tolerated_rate(rail) >= 1.0:
            yield Caution(
                f"Nothing is harm on {rail.name}: {rail.ratio:g} × {percent(rail.stable)} and "
                f"{manifest_share(rail.points)} points allow every rate.",
                (f"a smaller ratio, or a threshold that stable misses more rarely, for {rail.name}",),
            )
