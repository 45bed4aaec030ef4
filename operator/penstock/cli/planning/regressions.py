"""Which regressions are found when, and which are missed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from penstock.cli.planning.cohort import Rail
from penstock.cli.planning.course import Courses, Ending, Scenario, harmed
from penstock.cli.planning.facts import Outlook, RegressionFacts
from penstock.cli.planning.promotion import SURE, follow, follow_healthy, spread

MOST = 160
"""Releases of one size of regression."""

TOLERATED = 20
"""Releases of a regression that is tolerated."""

JUST_BEYOND = 1.1
"""Rate over the highest tolerated one that stands for a regression just beyond the tolerance."""

MULTIPLES = (5.0, 2.0, 1.5)

CURVE = 9
"""Sizes of regression between just beyond and always, for charts."""

APART = 1.3
"""Factor by which two sizes in a chart differ at least."""


@dataclass(frozen=True, slots=True)
class Size:
    """A regression by its rate: `label` says how it is called."""

    label: str
    rate: float


def tolerated_rate(rail: Rail) -> float:
    """Highest candidate rate that is no harm: beyond it is beyond both margins."""
    return min(1.0, max(rail.ratio * rail.stable, rail.stable + rail.points))


def named_sizes(rail: Rail, always: str) -> list[Size]:
    """The regressions of the report, the grossest first."""
    edge = tolerated_rate(rail)
    sizes = [Size(always, 1.0), Size("10 %", 0.1)]
    if rail.stable > 0.0:
        sizes += [Size(f"{multiple:g}×", multiple * rail.stable) for multiple in MULTIPLES]
    sizes.append(Size("just beyond", edge * JUST_BEYOND if edge * JUST_BEYOND < 1.0 else 0.5 * (edge + 1.0)))
    labels: dict[float, str] = {}
    for size in sorted(sizes, key=lambda size: -size.rate):
        if rail.stable < size.rate <= 1.0:
            rate = round(size.rate, 12)
            labels[rate] = f"{labels[rate]}, {size.label}" if rate in labels else size.label
    return [Size(label, rate) for rate, label in labels.items()]


def more_sizes(rail: Rail, known: Iterable[Size]) -> list[Size]:
    """Sizes between just beyond the tolerance and always, none close to a known one."""
    edge = tolerated_rate(rail) * JUST_BEYOND
    rates = [size.rate for size in known]
    more = []
    for rate in np.geomspace(max(edge, 1e-6), 1.0, CURVE):
        if edge < 1.0 and all(max(rate / other, other / rate) >= APART for other in rates):
            more.append(Size("", float(rate)))
            rates.append(float(rate))
    return more


def regression_facts(scenario: Scenario, index: int, size: Size, effort: int) -> RegressionFacts:
    """What becomes of a candidate that is worse by `size` on one guardrail and as good as stable on the others.

    `effort` is the amount of work (see `course.Course`) after which no further releases are simulated.
    """
    rail = scenario.rails[index]
    worse = replace(rail, candidate=size.rate)
    if size.rate <= tolerated_rate(rail):
        rails = (worse, *(other for i, other in enumerate(scenario.rails) if i != index))
        return _facts(size, Outlook.TOLERATED, follow_healthy(replace(scenario, rails=rails), TOLERATED))
    contract = replace(scenario.contract, others=len(scenario.rails) - 1)
    alone = replace(scenario, rails=(worse,), contract=contract)
    courses = follow(lambda count, seed: harmed(alone, count, seed), MOST, effort)
    sure = (courses.ending == Ending.ROLLED_BACK).mean() >= SURE
    return _facts(size, Outlook.FOUND if sure else Outlook.UNCERTAIN, courses)


def _facts(size: Size, outlook: Outlook, courses: Courses) -> RegressionFacts:
    due = courses.ending == (Ending.PROMOTED if outlook is Outlook.TOLERATED else Ending.ROLLED_BACK)
    events = spread(courses.events, due)
    return RegressionFacts(
        size.label,
        size.rate,
        outlook,
        float((courses.ending == Ending.ROLLED_BACK).mean()),
        float((courses.ending == Ending.PROMOTED).mean()),
        spread(courses.seconds, due),
        spread(courses.requests, due),
        None if events is None else events.median,
        len(courses.ending),
    )
